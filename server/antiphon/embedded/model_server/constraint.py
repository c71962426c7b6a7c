"""From a JSON Schema to a token constraint, and from the finished text back to a judgement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import jsonschema_rs
import orjson
from llguidance import LLMatcher, grammar_from

from antiphon.embedded.model_server.errors import BadRequestError
from antiphon.embedded.model_server.json_types import JsonArray, JsonObject, JsonValue, is_array, is_object
from antiphon.embedded.model_server.schema_bounds import BoundedSchema
from antiphon.embedded.model_server.schema_shapes import reject

_CACHED = 256
_DIALECTS = (
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
)


@dataclass(frozen=True, slots=True)
class Constraint:
    """A compiled JSON Schema.

    Attributes:
        grammar: For the engine.
        is_exact: Whether a complete text is certain to be valid; if not, it is held back until it was checked.
    """

    grammar: str
    is_exact: bool
    _validator: jsonschema_rs.Validator

    def accept(self, text: str) -> str | None:
        """The text if it is valid, a repaired one if that can be done, else None."""
        try:
            value: JsonValue = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        if self._validator.is_valid(value):
            return text
        repaired = _without_repeats(value)
        if repaired != value and self._validator.is_valid(repaired):
            return orjson.dumps(repaired).decode()
        return None


def compile_schema(schema: JsonObject, param: str) -> Constraint:
    """Compile a caller's JSON Schema; compiled schemas are kept for the next request.

    Args:
        schema: The schema.
        param: The request's field that holds it, for errors.

    Raises:
        BadRequestError: It is no valid schema, or its values cannot be guaranteed; the message names the keyword.
    """
    try:
        encoded = orjson.dumps(schema)
    except orjson.JSONEncodeError as error:
        raise BadRequestError("the JSON Schema is nested too deeply", code="invalid_json_schema", param=param) from error
    return _compile(encoded, param)


def compile_any_object() -> Constraint:
    """The constraint of `response_format: {"type": "json_object"}`."""
    return compile_schema({"type": "object"}, "response_format")


@lru_cache(maxsize=_CACHED)
def _compile(encoded: bytes, param: str) -> Constraint:
    schema: JsonObject = orjson.loads(encoded)
    dialect = schema.get("$schema", _DIALECTS[0])
    if not isinstance(dialect, str) or dialect.rstrip("#") not in _DIALECTS:
        # Refused before anything else: the validator would try to fetch an unknown one.
        raise reject("$schema", param, f"with the value {dialect!r} is not supported")
    try:
        jsonschema_rs.meta.validate(schema)
        bounded = BoundedSchema(schema)
        validator = jsonschema_rs.validator_for(schema, offline=True)
    except RecursionError as error:
        raise BadRequestError("the JSON Schema is nested too deeply", code="invalid_json_schema", param=param) from error
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise BadRequestError(f"invalid JSON Schema: {reason}", code="invalid_json_schema", param=param) from error
    compact: JsonObject = {
        **bounded.schema,
        # Free white space would let the model write blanks until its tokens run out.
        "x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},
    }
    grammar = "%llguidance {}\nstart: %json " + orjson.dumps(compact).decode() + "\n"
    # The engine ignores a grammar that it cannot compile and answers unconstrained, so it is compiled here first.
    if problem := LLMatcher.validate_grammar(grammar_from("lark", grammar)):
        raise reject(_keyword_in(problem, schema), param, f"is not supported ({_shorten(problem)})")
    return Constraint(grammar, bounded.is_exact, validator)


def _keyword_in(problem: str, schema: JsonObject) -> str:
    if "regex" in problem.lower() and "pattern" in orjson.dumps(schema).decode():
        return "pattern"
    return next((word for word in ("multipleOf", "minLength", "minItems", "minimum") if word in problem), "schema")


def _shorten(problem: str) -> str:
    return " ".join(problem.split())[:200]


def _without_repeats(value: JsonValue) -> JsonValue:
    """`uniqueItems` is the one keyword that is repaired: repeated items of arrays are dropped."""
    if is_array(value):
        kept: JsonArray = []
        for item in value:
            cleaned = _without_repeats(item)
            if cleaned not in kept:
                kept.append(cleaned)
        return kept
    if is_object(value):
        return {key: _without_repeats(inner) for key, inner in value.items()}
    return value
