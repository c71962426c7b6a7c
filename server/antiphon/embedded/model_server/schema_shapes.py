"""What the constraint compiler knows about JSON Schema keywords, and how two schemas are laid over each other."""

from __future__ import annotations

from antiphon.embedded.model_server.errors import BadRequestError
from antiphon.embedded.model_server.json_types import JsonArray, JsonObject, JsonValue, is_array, is_number, is_object

ANNOTATIONS = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "example",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
        "$defs",
        "definitions",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "discriminator",
        "externalDocs",
        "xml",
        "nullable",
    }
)
KEYWORDS_OF_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
# Keywords that restrict values in ways the token constraint cannot follow.
UNSUPPORTED = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "contains",
        "minContains",
        "maxContains",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "unevaluatedProperties",
        "unevaluatedItems",
        "$dynamicRef",
        "$dynamicAnchor",
        "$recursiveRef",
        "$recursiveAnchor",
        "$anchor",
        "$vocabulary",
    }
)
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"})
_LARGER_WINS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_SMALLER_WINS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})


def reject(keyword: str, path: str, why: str = "is not supported") -> BadRequestError:
    """The error for a schema whose values cannot be guaranteed."""
    return BadRequestError(
        f"the JSON Schema keyword {keyword!r} at {path} {why} by the embedded model",
        code="unsupported_json_schema",
        param=path,
    )


def lay_over(base: JsonObject, other: JsonObject, path: str) -> JsonObject:
    """A schema that holds where both hold.

    Raises:
        BadRequestError: Both restrict the same thing in ways that are not merged.
    """
    merged: JsonObject = dict(base)
    for keyword, value in other.items():
        if keyword not in merged or merged[keyword] == value or keyword in ANNOTATIONS:
            merged[keyword] = value
            continue
        merged[keyword] = _both(keyword, merged[keyword], value, path)
    return merged


def _both(keyword: str, one: JsonValue, two: JsonValue, path: str) -> JsonValue:
    if keyword in _LARGER_WINS and is_number(one) and is_number(two):
        return max(one, two)
    if keyword in _SMALLER_WINS and is_number(one) and is_number(two):
        return min(one, two)
    if keyword in ("required", "allOf") and is_array(one) and is_array(two):
        return one + [value for value in two if value not in one]
    if keyword == "properties" and is_object(one) and is_object(two):
        return {name: {"allOf": [one[name], two[name]]} if name in one and name in two else {**one, **two}[name] for name in {**one, **two}}
    if keyword == "enum" and is_array(one) and is_array(two):
        return [value for value in one if value in two]
    if keyword == "type":
        return list(_common_types(one, two))
    if keyword == "additionalProperties" and True in (one, two):
        return two if one is True else one
    if keyword == "uniqueItems":
        return bool(one) or bool(two)
    if keyword in ("anyOf", "oneOf") or keyword == "$ref":
        raise reject(keyword, path, "in several places of one schema is not supported")
    raise reject(keyword, path, "with two different values (after 'allOf' and '$ref') is not supported")


def types_of(value: JsonValue) -> JsonArray:
    """The `type` keyword as a list."""
    return value if is_array(value) else [value]


def _common_types(one: JsonValue, two: JsonValue) -> JsonArray:
    ones, twos = types_of(one), types_of(two)
    common: JsonArray = [name for name in ones if name in twos]
    if "number" in ones and "integer" in twos and "number" not in twos:
        common.append("integer")
    if "number" in twos and "integer" in ones and "number" not in ones:
        common.append("integer")
    return list(dict.fromkeys(str(name) for name in common))
