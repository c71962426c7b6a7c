"""Whatever can be written under the constraint of a JSON Schema is finite and valid under that schema."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer, grammar_from
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

from antiphon.embedded.model_server.constraint import Constraint, compile_schema
from antiphon.embedded.model_server.errors import BadRequestError

_PROMPTS = json.loads((Path(__file__).parents[3] / "bench" / "tool_choice" / "prompts.json").read_text())
_ANY_TEXT = {"type": "string"}
_MORE_THAN_ANY_ANSWER = 20_000

_SCHEMAS: dict[str, Any] = {
    **{prompt["id"]: prompt["schema"] for prompt in _PROMPTS["schema_prompts"]},
    "anything": {},
    "free object": {"type": "object"},
    "free values": {"type": "object", "additionalProperties": {"type": "integer"}},
    "no type": {"properties": {"a": _ANY_TEXT}, "required": ["a"]},
    "several types": {"type": ["string", "null", "integer"], "minimum": 3, "maxLength": 4},
    "required without a schema": {"type": "object", "required": ["a"]},
    "few of the optional": {
        "type": "object",
        "properties": {"a": _ANY_TEXT, "b": _ANY_TEXT},
        "minProperties": 1,
        "maxProperties": 1,
    },
    "base and branches": {
        "type": "object",
        "properties": {"a": _ANY_TEXT, "b": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "merged": {"allOf": [{"type": "integer", "minimum": 1}, {"maximum": 9}], "minimum": 3},
    "merged objects": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": True},
            {"properties": {"a": {"maxLength": 3}, "b": {"type": "number"}}, "required": ["b"], "additionalProperties": {}},
            True,
        ]
    },
    "merged values": {"allOf": [{"enum": ["a", "b", 1]}, {"enum": ["b", 1, "c"], "type": ["string", "null"]}]},
    "merged types": {"allOf": [{"type": ["number", "null"]}, {"type": ["integer", "string"]}], "maximum": 5},
    "merged bounds": {"allOf": [{"type": "array", "maxItems": 5}, {"minItems": 1, "maxItems": 2, "items": {"const": 1}}]},
    "merged reference": {"$defs": {"i": {"type": "integer"}}, "allOf": [{"$ref": "#/$defs/i"}], "minimum": 1},
    "closed tuple": {"type": "array", "prefixItems": [{"type": "null"}], "items": {"type": "boolean"}, "maxItems": 3},
    "empty object": {"type": "object", "additionalProperties": False},
    "several bounds": {"type": "number", "minimum": 1, "exclusiveMinimum": 1, "maximum": 2, "exclusiveMaximum": 1.5},
    "one bound": {"type": "number", "maximum": -3},
    "formats": {"type": "object", "properties": {"d": {"type": "string", "format": "date"}, "x": {"type": "string", "format": "x"}}},
    "recursive": {"$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"},
    "reference beside keywords": {"$defs": {"t": _ANY_TEXT}, "$ref": "#/$defs/t", "maxLength": 3},
    "old tuple": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array", "items": [_ANY_TEXT]},
    "tiny numbers": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    "names like keywords": {"type": "object", "properties": {"$ref": _ANY_TEXT, "not": _ANY_TEXT}},
    "pattern names": {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
}


def _random_text(constraint: Constraint, draw: random.Random) -> str:
    """A random walk through what the constraint allows, in plain ASCII."""
    tokenizer = LLTokenizer("byte")
    matcher = LLMatcher(tokenizer, grammar_from("lark", constraint.grammar))
    assert not matcher.is_error(), matcher.get_error()
    mask = allocate_token_bitmask(1, tokenizer.vocab_size)
    written = bytearray()
    while not matcher.is_stopped():
        fill_next_token_bitmask(matcher, mask)
        bits = np.unpackbits(mask[0].view(np.uint8), bitorder="little")[: tokenizer.vocab_size]
        allowed = [int(token) for token in np.flatnonzero(bits) if token < 128 or token == tokenizer.eos_token]
        token = draw.choice(allowed)
        if token == tokenizer.eos_token:
            break
        matcher.consume_token(token)
        written.append(token)
        assert len(written) < _MORE_THAN_ANY_ANSWER, "the constraint allows an endless value"
    return written.decode()


@pytest.mark.parametrize("name", _SCHEMAS)
def test_every_text_under_the_constraint_is_valid(name: str) -> None:
    constraint = compile_schema(_SCHEMAS[name], "schema")
    assert constraint.is_exact
    for seed in range(5):
        text = _random_text(constraint, random.Random(seed))
        assert text == constraint.accept(text), f"seed {seed}"


@pytest.mark.parametrize(
    ("keyword", "schema"),
    [
        ("not", {"not": {"type": "string"}}),
        ("if", {"if": {"type": "string"}, "then": {"minLength": 2}}),
        ("contains", {"type": "array", "contains": {"type": "integer"}}),
        ("dependentRequired", {"type": "object", "properties": {"a": {}}, "dependentRequired": {"a": ["b"]}}),
        ("propertyNames", {"type": "object", "properties": {"a": {"propertyNames": {"maxLength": 2}}}}),
        ("unevaluatedProperties", {"type": "object", "unevaluatedProperties": False}),
        ("$ref", {"$ref": "https://example.com/schema"}),
        ("$schema", {"$schema": "https://example.com/dialect", "type": "string"}),
        ("pattern", {"type": "string", "pattern": "^(?=a)b"}),
        ("minimum", {"type": "integer", "minimum": 5, "maximum": 2}),
        ("pattern", {"allOf": [{"type": "string", "pattern": "^a"}, {"pattern": "b$"}]}),
        ("anyOf", {"allOf": [{"anyOf": [{"type": "string"}]}, {"anyOf": [{"type": "null"}]}]}),
        ("allOf", {"allOf": [False]}),
        ("$ref", {"$ref": "#/$defs/missing"}),
    ],
)
def test_a_keyword_that_cannot_be_guaranteed_is_refused_by_name(keyword: str, schema: Any) -> None:
    with pytest.raises(BadRequestError, match=f"'{keyword.replace('$', '[$]')}'") as refused:
        compile_schema(schema, "schema")
    assert refused.value.code == "unsupported_json_schema"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]},
        {"enum": ["a"], "type": "integer"},
        {"type": "array", "items": False, "minItems": 1},
    ],
)
def test_a_schema_without_a_finite_value_is_refused(schema: Any) -> None:
    with pytest.raises(BadRequestError) as refused:
        compile_schema(schema, "schema")
    assert "the JSON Schema allows no finite value" == str(refused.value)


def test_what_is_no_schema_is_refused() -> None:
    with pytest.raises(BadRequestError) as refused:
        compile_schema({"type": "bogus"}, "the.field")
    assert ("invalid_json_schema", "the.field") == (refused.value.code, refused.value.param)


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: Any = {"type": "string"}
    for _ in range(400):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(BadRequestError) as refused:
        compile_schema(schema, "schema")
    assert refused.value.code in ("invalid_json_schema", "unsupported_json_schema")


def test_repeated_items_are_dropped_where_the_schema_wants_them_unique() -> None:
    constraint = compile_schema({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, "schema")
    assert (False, "[1,2]") == (constraint.is_exact, constraint.accept("[1, 2, 1]"))


def test_an_invalid_text_is_not_accepted() -> None:
    constraint = compile_schema({"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 3}]}, "schema")
    assert (False, None, None, "2") == (
        constraint.is_exact,
        constraint.accept("7"),
        constraint.accept("[1"),
        constraint.accept("2"),
    )
