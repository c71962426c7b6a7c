"""A typed function becomes a tool whose schema admits what the function takes and nothing else, and a model's arguments come back as those types."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence  # noqa: TC003  # the tools' annotations are evaluated
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import jsonschema_rs
import pytest

from antiphon_client import Tool, ToolCall


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


@dataclass
class Place:
    city: str
    country: str | None = None
    tags: list[str] = field(default_factory=list[str])


class Window(TypedDict):
    start: int
    end: NotRequired[int]


def forecast(  # noqa: PLR0917  # one parameter a kind of annotation
    place: Annotated[Place, "where"],
    unit: Unit = Unit.CELSIUS,
    detail: Literal["low", "high"] = "low",
    days: int = 3,
    weights: Mapping[str, float] | None = None,
    windows: Sequence[Window] = (),
    exact: bool = False,  # the model passes it by name
    extra: Any = None,
) -> tuple[Any, ...]:
    """Forecasts the weather.

    Use it for any question about tomorrow.
    """
    return (place, unit, detail, days, weights, windows, exact, extra)


def call(arguments: Any) -> ToolCall:
    return ToolCall(call_id="c1", name="forecast", arguments=json.dumps(arguments))


TOOL = Tool.from_function(forecast)
SCHEMA: dict[str, Any] = dict(TOOL.input_schema or {})
VALID: list[Any] = [
    {"place": {"city": "Ghent"}},
    {"place": {"city": "Ghent", "country": None, "tags": ["old"]}, "unit": "kelvin", "detail": "high", "days": 1},
    {"place": {"city": "Ghent"}, "weights": {"rain": 1, "sun": 0.5}, "windows": [{"start": 1}, {"start": 2, "end": 3}], "exact": True},
    {"place": {"city": "Ghent"}, "weights": None, "extra": {"any": ["thing", 1]}},
]
INVALID: list[Any] = [
    {},
    {"place": "Ghent"},
    {"place": {"city": 7}},
    {"place": {"city": "Ghent", "planet": "Mars"}},
    {"place": {"city": "Ghent"}, "unit": "fahrenheit"},
    {"place": {"city": "Ghent"}, "detail": "medium"},
    {"place": {"city": "Ghent"}, "days": "3"},
    {"place": {"city": "Ghent"}, "days": True},
    {"place": {"city": "Ghent"}, "exact": 1},
    {"place": {"city": "Ghent"}, "windows": [{"end": 1}]},
    {"place": {"city": "Ghent"}, "windows": {"start": 1}},
    {"place": {"city": "Ghent"}, "weights": {"rain": "much"}},
    {"place": {"city": "Ghent"}, "colour": "red"},
]


def test_name_description_and_schema() -> None:
    assert "forecast" == TOOL.name
    assert "Forecasts the weather.\n\nUse it for any question about tomorrow." == TOOL.description
    assert jsonschema_rs.meta.is_valid(SCHEMA)
    assert ["place"] == SCHEMA["required"]
    assert "where" == SCHEMA["properties"]["place"]["description"]
    assert {"enum": ["low", "high"], "type": "string", "default": "low"} == SCHEMA["properties"]["detail"]
    assert SCHEMA == json.loads(TOOL.to_proto().input_schema)


@pytest.mark.parametrize("arguments", VALID)
def test_schema_and_function_admit_the_same(arguments: Any) -> None:
    assert jsonschema_rs.is_valid(SCHEMA, arguments)
    TOOL.run(call(arguments))


@pytest.mark.parametrize("arguments", [*INVALID, []])
def test_schema_and_function_refuse_the_same(arguments: Any) -> None:
    assert not jsonschema_rs.is_valid(SCHEMA, arguments)
    with pytest.raises(ValueError, match=r".+"):
        TOOL.run(call(arguments))


def test_arguments_arrive_as_the_functions_types() -> None:
    arguments = {"place": {"city": "Ghent", "tags": ["old"]}, "unit": "kelvin", "weights": {"rain": 1}, "windows": [{"start": 1}]}
    place, unit, detail, days, weights, windows, exact, extra = TOOL.run(call(arguments))
    assert Place("Ghent", None, ["old"]) == place
    assert (Unit.KELVIN, "low", 3, {"rain": 1.0}, [{"start": 1}], False, None) == (unit, detail, days, weights, windows, exact, extra)


def test_arguments_that_are_cut_off_are_a_value_error() -> None:
    with pytest.raises(ValueError, match=r".+"):
        TOOL.run(ToolCall(call_id="c1", name="forecast", arguments='{"place": {"ci'))


async def test_an_async_function_is_awaited_or_refused() -> None:
    async def wait(seconds: float) -> float:
        return seconds

    tool, one = Tool.from_function(wait), ToolCall(call_id="c", name="wait", arguments='{"seconds": 1}')
    assert 1.0 == await tool.arun(one)
    with pytest.raises(TypeError, match=r"await tool\.arun\(call\)"):
        tool.run(one)
    assert 3 == (await TOOL.arun(call({"place": {"city": "Ghent"}})))[3]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "`place`: is missing, and must be an object"),
        ({"place": "Ghent"}, '`place`: must be an object, not "Ghent"'),
        ({"place": {"city": 1}}, "`place.city`: must be a string, not 1"),
        ({"place": {"city": "Ghent", "country": 7}}, "`place.country`: must be a string or null, not 7"),
        ({"place": {"city": "Ghent", "tags": ["a", None]}}, "`place.tags[1]`: must be a string, not null"),
        ({"place": {"city": "Ghent", "planet": 1}}, '`place.planet`: is not known; known are "city", "country", "tags"'),
        ({"place": {"city": "Ghent"}, "unit": "f"}, '`unit`: must be one of "celsius", "kelvin", not "f"'),
        ({"place": {"city": "Ghent"}, "detail": 1}, '`detail`: must be one of "low", "high", not 1'),
        ({"place": {"city": "Ghent"}, "days": True}, "`days`: must be an integer, not true"),
        ({"place": {"city": "Ghent"}, "windows": [{"end": 1}]}, "`windows[0].start`: is missing, and must be an integer"),
        ({"place": {"city": "Ghent"}, "weights": {"rain": "much"}}, '`weights.rain`: must be a number, not "much"'),
        ({"place": {"city": "Ghent"}, "days": "x" * 200}, '`days`: must be an integer, not "' + "x" * 76 + "..."),
    ],
)
def test_what_is_wrong_is_said_in_words_for_the_model(arguments: Any, told: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        TOOL.run(call(arguments))
    assert told == str(caught.value)


def unannotated(place) -> None:  # pyright: ignore[reportUnknownParameterType, reportMissingParameterType]  # noqa: ANN001  # what is tested
    del place


def variadic(*places: str) -> None:
    del places


def bytes_taken(data: bytes) -> None:
    del data


WITHOUT_SCHEMA: list[Any] = [unannotated, variadic, bytes_taken]


@pytest.mark.parametrize("function", WITHOUT_SCHEMA)
def test_what_has_no_schema_is_refused(function: Any) -> None:
    with pytest.raises(TypeError):
        Tool.from_function(function)


def test_a_tool_without_a_function_cannot_run() -> None:
    with pytest.raises(TypeError, match="without a function"):
        Tool("look", "Looks.", {"type": "object"}).run(call({}))
