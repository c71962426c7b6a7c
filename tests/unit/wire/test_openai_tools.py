"""A schema that was seen to fit a body is not parsed again, and what is remembered of schemas is bounded."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from antiphon.errors import InvalidRequestError
from antiphon.wire.openai import tools
from antiphon.wire.openai.tools import schema_text


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is parsed during the test."""
    tools._is_short_object.cache_clear()
    seen: list[str] = []
    loads = orjson.loads

    def noted(text: str) -> Any:
        seen.append(text)
        return loads(text)

    monkeypatch.setattr(orjson, "loads", noted)
    return seen


def test_a_schema_is_parsed_once(parsed: list[str]) -> None:
    schema = '{"title": "parsed once"}'
    written = [orjson.dumps(schema_text("".join(schema), "spec.tools[0].input_schema")) for _ in range(3)]
    assert ([schema.encode()] * 3, [schema]) == (written, parsed)


def test_one_that_does_not_fit_is_refused_each_time() -> None:
    for path in ("spec.tools[0].input_schema", "spec.tools[1].input_schema"):
        with pytest.raises(InvalidRequestError) as caught:
            schema_text('{}, "model": "x"', path)
        assert [path] == [violation.field for violation in caught.value.violations]


def test_long_schemas_are_not_kept(parsed: list[str]) -> None:
    schema = json.dumps({"title": "x" * 20_000})
    for _ in range(2):
        schema_text(schema, "spec.tools[0].input_schema")
    assert [schema] * 2 == parsed


def test_schemas_that_callers_invent_are_forgotten() -> None:
    for number in range(1000):
        schema_text(f'{{"title": "invented {number}"}}', "spec.tools[0].input_schema")
    assert tools._is_short_object.cache_info().currsize <= 256
