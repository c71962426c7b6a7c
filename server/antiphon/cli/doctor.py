"""`antiphon doctor`: what works here, what does not, and how to mend it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

from antiphon.cli.findings import Finding, Verdict
from antiphon.cli.identity_checks import check_callers, check_certificate
from antiphon.cli.listening import address, reached_at
from antiphon.cli.machine_checks import (
    check_disk,
    check_embedded_model,
    check_memory,
    check_ports,
    check_python,
    check_terminal,
    check_workers,
)
from antiphon.cli.provider_checks import check_providers
from antiphon.cli.server_checks import answers_at, answers_with, check_server, is_default_target
from antiphon.config import ConfigError, load
from antiphon.plugins import load_provider_types

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from antiphon.config import Config
    from antiphon.plugins import ProviderType

_MARKS = {Verdict.WORKS: ("ok", "green"), Verdict.NOTE: ("note", "yellow"), Verdict.BROKEN: ("broken", "red")}


def examine(config_file: Path | None, target: str | None, *, as_json: bool) -> int:
    """Looks at everything and says what it found; returns 1 when something that is needed is broken, else 0."""
    findings = _findings(config_file, target)
    broken = any(finding.verdict is Verdict.BROKEN for finding in findings)
    if as_json:
        typer.echo(
            json.dumps({"healthy": not broken, "findings": [finding.to_dict() for finding in findings]}, ensure_ascii=False, indent=2)
        )
        return int(broken)
    width = max(len(finding.subject) for finding in findings)
    colours = sys.stdout.isatty()
    source = ""
    for finding in findings:
        if finding.source != source:
            source = finding.source
            typer.echo(f"{source[:1].upper()}{source[1:]} says:")
        word, colour = _MARKS[finding.verdict]
        mark = typer.style(f"{word:<6}", fg=colour if colours else None)
        typer.echo(f"{mark}  {finding.subject:<{width}}  {finding.told}")
        if finding.mend:
            typer.echo(f"{'':<6}  {'':<{width}}  -> {finding.mend}")
    typer.echo("Something that is needed is broken." if broken else "All that is needed works.")
    return int(broken)


def _findings(config_file: Path | None, target: str | None) -> list[Finding]:
    kinds = load_provider_types()
    config, findings = _configuration(config_file, kinds)
    findings = [check_python(), *findings]
    if config is not None:
        findings += [check_embedded_model(config), check_memory(config), *check_workers(config)]
        findings += [*check_callers(config), *check_certificate(config)]
        findings += check_ports(config, answers_at if not config.tls.enabled else answers_with(config))
        findings += check_providers(config, kinds)
    return [*findings, check_disk(), check_terminal(), *check_server(target or _configured_target(config))]


def _configured_target(config: Config | None) -> str | None:
    """Where the configured server is, unless the client is told another place; None: where the client looks by itself."""
    if config is None or config.server.grpc_port == 0 or not is_default_target():
        return None
    scheme = "https" if config.tls.enabled else "http"
    return f"{scheme}://{address(reached_at(config.server.host), config.server.grpc_port)}"


def _configuration(file: Path | None, kinds: Mapping[str, ProviderType]) -> tuple[Config | None, list[Finding]]:
    try:
        config = load(kinds, file=file)
    except ConfigError as error:
        mend = "correct it; `antiphon config check` looks again"
        return None, [Finding("configuration", Verdict.BROKEN, problem, mend) for problem in error.problems]
    return config, [Finding("configuration", Verdict.WORKS, f"providers: {', '.join(config.providers)}")]
