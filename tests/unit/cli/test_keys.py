"""`antiphon keys create` shows a key this once, with an entry by which the server knows it, and takes nothing that the configuration would not."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from typer.testing import CliRunner

from antiphon.cli.main import app
from antiphon.config import AuthSection
from antiphon.identity.api_keys import has_form
from antiphon.identity.directory import CallerDirectory

if TYPE_CHECKING:
    from pathlib import Path

ANN = ("--principal", "ann", "--tenant", "acme")


def create(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["keys", "create", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_what_is_printed_can_be_put_into_the_configuration_and_used() -> None:
    exit_code, said, problems = create(*ANN, "--role", "admin", "--expires", "90d")
    assert (0, "") == (exit_code, problems)
    key, _, entry = said.partition("\n")
    assert (True, 1) == (has_form(key), said.count(key))
    auth = AuthSection.model_validate(yaml.safe_load(entry)["auth"])
    caller = CallerDirectory(auth).identify(f"Bearer {key}")
    assert ("ann", "acme", "admin") == (caller.principal, caller.tenant, auth.keys[0].role)


def test_scripts_get_json(tmp_path: Path) -> None:
    _, said, _ = create(*ANN, "--json")
    document: dict[str, Any] = json.loads(said)
    assert (
        "ann" == CallerDirectory(AuthSection.model_validate({"keys": [document["entry"]]})).identify(f"bearer {document['key']}").principal
    )
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("2027-01-31T12:00:00Z", "2027-01-31T12:00:00Z"),
        ("2027-01-31T12:00+02:00", "2027-01-31T12:00:00+02:00"),
    ],
)
def test_a_key_can_end_on_a_day_or_at_a_moment(given: str, written: str) -> None:
    _, said, _ = create(*ANN, "--json", "--expires", given)
    assert written == json.loads(said)["entry"]["expires"]


def test_a_key_can_end_in_some_days() -> None:
    _, said, _ = create(*ANN, "--json", "--expires", "7d")
    left = datetime.fromisoformat(json.loads(said)["entry"]["expires"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


@pytest.mark.parametrize("given", ["soon", "0d", "7", "2027-01-31T12:00", "2027-13-01", ""])
def test_a_time_that_is_none_is_refused(given: str) -> None:
    exit_code, said, problems = create(*ANN, "--expires", given)
    assert (2, "", True) == (exit_code, said, "no time to expire at" in problems)


@pytest.mark.parametrize(("option", "value"), [("principal", "a b"), ("tenant", "-"), ("role", "Not a role")])
def test_what_the_configuration_would_not_take_makes_no_key(option: str, value: str) -> None:
    given = {"principal": "ann", "tenant": "acme", option: value}
    exit_code, said, problems = create(*(part for name, one in given.items() for part in (f"--{name}", one)))
    assert (2, "") == (exit_code, said)
    assert re.search(rf"--{option} '{value}' cannot be used", problems)


def test_a_time_that_is_past_makes_no_key() -> None:
    exit_code, said, problems = create(*ANN, "--expires", "2020-01-01")
    assert (2, "", True) == (exit_code, said, "'2020-01-01' is past" in problems)


def test_a_role_that_is_not_built_in_is_noted_beside_the_key() -> None:
    exit_code, said, problems = create(*ANN, "--role", "catalog", "--json")
    assert (0, "catalog") == (exit_code, json.loads(said)["entry"]["role"])
    assert "auth.roles of the server must have it" in problems
