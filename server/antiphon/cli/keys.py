"""`antiphon keys`: makes API keys."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import typer
import yaml
from pydantic import ValidationError

from antiphon.cli.exits import EXIT_OK, EXIT_USAGE
from antiphon.cli.failures import say
from antiphon.config import KeySection
from antiphon.config.identity import BUILT_IN_ROLES
from antiphon.identity.api_keys import id_of, new_key, written_hash

_DAYS = re.compile(r"([1-9][0-9]{0,4})d", re.ASCII)


def create(principal: str, tenant: str, role: str, expires: str | None, *, as_json: bool) -> int:
    """Makes a key and prints it, this once, with what the configuration needs to know of it; returns the exit code."""
    try:
        until = None if expires is None else _moment(expires)
    except ValueError:
        say(f"{expires!r} is no time to expire at; write a day as in 2027-01-31, a time with its zone, or days from now as in 90d")
        return EXIT_USAGE
    if until is not None and until <= datetime.now(UTC):
        say(f"{expires!r} is past: the key would never be taken; give a time to come, as in 90d")
        return EXIT_USAGE
    key = new_key()
    entry = {"id": id_of(key), "hash": written_hash(key), "principal": principal, "tenant": tenant, "role": role}
    if until is not None:
        entry["expires"] = until.isoformat().replace("+00:00", "Z")
    try:
        KeySection.model_validate(entry)
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False, include_context=False):
            name = problem["loc"][0]
            say(f"--{name} {entry[str(name)]!r} cannot be used: {problem['msg'][:1].lower()}{problem['msg'][1:]}")
        return EXIT_USAGE
    if role not in BUILT_IN_ROLES:
        say(f"the role {role!r} is none of the built-in ones ({', '.join(BUILT_IN_ROLES)}); auth.roles of the server must have it")
    if as_json:
        typer.echo(json.dumps({"key": key, "entry": entry}, indent=2))
        return EXIT_OK
    typer.echo(key)
    typer.echo("\n# The key is shown this once and kept nowhere. The server knows it by this entry of its configuration:\nauth:\n  keys:")
    written = yaml.safe_dump([entry], sort_keys=False, width=200)
    typer.echo("".join(f"    {line}\n" for line in written.splitlines()), nl=False)
    return EXIT_OK


def _moment(text: str) -> datetime:
    """Reads a day, a time, or a number of days from now.

    Raises:
        ValueError: It is neither, or a time without its zone.
    """
    if days := _DAYS.fullmatch(text):
        return datetime.now(UTC).replace(microsecond=0) + timedelta(days=int(days[1]))
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        return moment
    if ":" in text or "T" in text:
        raise ValueError(text)
    return moment.replace(tzinfo=UTC)
