"""`antiphon models`: what models a server has."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TYPE_CHECKING

import typer

from antiphon.cli.exits import EXIT_OK
from antiphon.cli.failures import with_client

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from antiphon_client import Client
    from antiphon_client.contract import model


def show_models(name: str | None, target: str | None, *, as_json: bool) -> int:
    """Lists the models, or describes one; returns the exit code."""
    if name is not None:
        return with_client(target, partial(_describe, name=name, as_json=as_json))
    return with_client(target, partial(_list, as_json=as_json))


def model_table(found: Iterable[model.Model]) -> Table:
    """The models as a table for a terminal."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("model", "aliases", "context", "status"):
        table.add_column(column, justify="right" if column == "context" else "left", overflow="fold")
    for one in found:
        table.add_row(one.name, ", ".join(one.aliases), _tokens(one.context_window_tokens), _word(one.status.name))
    return table


def _list(client: Client, *, as_json: bool) -> int:
    found = client.models.list()
    if as_json:
        typer.echo(json.dumps([one.to_dict() for one in found], ensure_ascii=False, indent=2))
    elif sys.stdout.isatty():
        from rich.console import Console

        Console().print(model_table(found))
    else:
        for one in found:
            typer.echo("\t".join((one.name, ",".join(one.aliases), str(one.context_window_tokens), _word(one.status.name))))
    return EXIT_OK


def _describe(client: Client, *, name: str, as_json: bool) -> int:
    one = client.models.get(name)
    if as_json:
        typer.echo(json.dumps(one.to_dict(), ensure_ascii=False, indent=2))
        return EXIT_OK
    facts = {
        "name": one.name,
        "provider": one.provider,
        "aliases": ", ".join(one.aliases),
        "status": _word(one.status.name),
        "context, tokens": _tokens(one.context_window_tokens),
        "answer, tokens": _tokens(one.max_output_tokens),
        "can take": ", ".join(_word(capability.name) for capability in one.capabilities),
    }
    if one.prices is not None:
        prices = one.prices
        facts["price per million"] = (
            f"{prices.input_micros_per_million / 1e6:g} in, {prices.output_micros_per_million / 1e6:g} out {prices.currency_code}"
        )
    for key, value in facts.items():
        typer.echo(f"{key + ':':<19}{value or '-'}")
    return EXIT_OK


def _tokens(count: int) -> str:
    return f"{count:,}" if count else "not known"


def _word(name: str | None) -> str:
    """An enum's name as a word; a newer server's has none."""
    return (name or "unknown").replace("_", " ").lower().replace("unspecified", "not known")
