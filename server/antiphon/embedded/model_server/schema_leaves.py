"""The bounded forms of strings, numbers and free-form values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from antiphon.embedded.model_server.json_types import JsonObject, JsonValue, is_number
from antiphon.embedded.model_server.schema_shapes import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULT_MAX_LENGTH = 160
_LONGEST_STRING = 2000
# Room for a pattern that has no limit of its own.
_MAX_PATTERN_LENGTH = 128
_MAX_FORMAT_LENGTH = 80
_DEFAULT_RANGE = 1_000_000
_FREE_KEY = "^[A-Za-z][A-Za-z0-9_]{0,23}$"
_FREE_MAX_PROPERTIES = 6
_FREE_MAX_ITEMS = 6
_FREE_DEPTH = 2


def whole(value: JsonValue, default: int) -> int:
    """A count keyword's value, which JSON may write as 3.0."""
    return int(value) if is_number(value) else default


def string_schema(schema: JsonObject) -> JsonObject:
    """A string of bounded length."""
    bounded: JsonObject = {"type": "string"}
    for keyword in ("minLength", "pattern"):
        if keyword in schema:
            bounded[keyword] = schema[keyword]
    if schema.get("format") in FORMATS:  # Others are annotations.
        bounded["format"] = schema["format"]
    least = whole(schema.get("minLength"), 0)
    if "pattern" in bounded:
        default = _MAX_PATTERN_LENGTH
    elif "format" in bounded:
        default = _MAX_FORMAT_LENGTH
    else:
        default = _DEFAULT_MAX_LENGTH
    bounded["maxLength"] = min(whole(schema.get("maxLength"), max(default, least)), max(_LONGEST_STRING, least))
    return bounded


def number_schema(name: str, schema: JsonObject) -> JsonObject:
    """A number within two bounds and with few decimals."""
    bounded: JsonObject = {"type": name}
    low, low_word = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, high_word = _bound(schema, "maximum", "exclusiveMaximum", min)
    if low is None:
        low = -_DEFAULT_RANGE if high is None else min(0, high - _DEFAULT_RANGE)
    if high is None:
        high = max(_DEFAULT_RANGE, low + _DEFAULT_RANGE)
    if "multipleOf" in schema:
        bounded["multipleOf"] = schema["multipleOf"]
    elif name == "number":
        # Without a step the model may add decimals until its tokens run out.
        decimals = 2 if high - low >= 1 else 2 + math.ceil(-math.log10(max(high - low, 1e-12)))
        step = float(f"1e-{decimals}")
        bounded["multipleOf"] = step
        # llguidance 1.9.1 allows 0 where 0 < value < 0.001: open bounds are closed one step further in.
        if low_word == "exclusiveMinimum":
            low, low_word = round(low + step, decimals + 1), "minimum"
        if high_word == "exclusiveMaximum":
            high, high_word = round(high - step, decimals + 1), "maximum"
    bounded[low_word], bounded[high_word] = low, high
    return bounded


def _bound(schema: JsonObject, closed: str, opened: str, tighter: Callable[[float, float], float]) -> tuple[int | float | None, str]:
    one, two = schema.get(closed), schema.get(opened)
    if is_number(one) and is_number(two):
        picks_open = tighter(one, two) == two
        return (two, opened) if picks_open else (one, closed)
    if is_number(two):
        return two, opened
    return (one if is_number(one) else None), closed


def free_object(value: JsonValue, least: int, most: int) -> JsonObject:
    """An object with names of the model's choice."""
    return {
        "type": "object",
        "patternProperties": {_FREE_KEY: value},
        "additionalProperties": False,
        "minProperties": least,
        "maxProperties": most,
    }


def free_value(depth: int = _FREE_DEPTH) -> JsonObject:
    """Any JSON value of bounded size and depth."""
    scalars: list[JsonValue] = [
        string_schema({}),
        number_schema("number", {}),
        {"type": "boolean"},
        {"type": "null"},
    ]
    if depth == 0:
        return {"anyOf": scalars}
    inner = free_value(depth - 1)
    return {
        "anyOf": [
            *scalars,
            {"type": "array", "items": inner, "maxItems": _FREE_MAX_ITEMS},
            free_object(inner, 0, _FREE_MAX_PROPERTIES),
        ]
    }
