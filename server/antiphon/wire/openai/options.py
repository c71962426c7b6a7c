"""The caller's options for one provider, as fields of the body."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from antiphon.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

# What the server itself must be able to rely on: which model answers what, in which form, and how often.
RESERVED = frozenset({"model", "messages", "stream", "stream_options", "n"})
# Beyond this, floating point skips whole numbers.
_LARGEST_EXACT = 2**53


def to_fields(options: Struct, path: str) -> dict[str, Any]:
    """Writes the options. A whole number is written without a fraction: a Struct knows floating point alone, and APIs refuse `5.0` for a count.

    Raises:
        InvalidRequestError: An option is the server's own to set, or is no JSON value (INVALID_FIELD).
    """
    fields: dict[str, Any] = {}
    for key, value in options.fields.items():
        if key in RESERVED:
            raise _invalid(f"{path}.{key}", "is set by the server and cannot be an option")
        fields[key] = _json(value, f"{path}.{key}")
    return fields


def _json(value: Value, path: str) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return _number(value.number_value, path)
    if kind == "struct_value":
        return {key: _json(inner, f"{path}.{key}") for key, inner in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_json(inner, f"{path}[{number}]") for number, inner in enumerate(value.list_value.values)]
    if kind == "string_value":
        return value.string_value
    return value.bool_value if kind == "bool_value" else None


def _number(number: float, path: str) -> float:
    if not math.isfinite(number):
        raise _invalid(path, "must be a finite number")
    return int(number) if number.is_integer() and abs(number) <= _LARGEST_EXACT else number


def _invalid(path: str, description: str) -> InvalidRequestError:
    return InvalidRequestError.at(Reason.ERROR_REASON_INVALID_FIELD, path, description, message=f"the option {path} {description}")
