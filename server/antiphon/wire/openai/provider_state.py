"""The opaque fields that a provider puts on a tool call and wants back, as bytes of a part.

Gemini's thought signatures over this dialect (`extra_content`) are the known case. The bytes name their provider, so that no other one ever sees
them; they have been in the caller's hands, so they are checked and can never stand over the call's own fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

_CALL_FIELDS = frozenset({"index", "id", "type", "function"})
_FUNCTION_FIELDS = frozenset({"name", "arguments"})


def opaque_fields(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a tool call, or a delta of one, holds beyond the fields of the dialect."""
    fields = {key: value for key, value in entry.items() if key not in _CALL_FIELDS and value is not None}
    function: Any = entry.get("function")
    if isinstance(function, dict):
        of_function = {
            key: value for key, value in cast("dict[str, Any]", function).items() if key not in _FUNCTION_FIELDS and value is not None
        }
        if of_function:
            fields["function"] = of_function
    return fields


def encode(provider: str, fields: Mapping[str, Any]) -> bytes:
    """Writes the state; empty where there is none."""
    return orjson.dumps({"provider": provider, "tool_call": fields}) if fields else b""


def restore(provider: str, state: bytes, call: dict[str, Any]) -> dict[str, Any]:
    """Returns a tool call of a request with the fields that its provider gave it, if it was this provider."""
    fields = _decode(provider, state)
    if not fields:
        return call
    of_function: Any = fields.get("function")
    restored = {**fields, **call}
    if isinstance(of_function, dict):
        restored["function"] = {**cast("dict[str, Any]", of_function), **call["function"]}
    return restored


def _decode(provider: str, state: bytes) -> dict[str, Any] | None:
    try:
        envelope: Any = orjson.loads(state)
    except orjson.JSONDecodeError:
        return None  # another provider's state, in a form of its own
    if not isinstance(envelope, dict):
        return None
    envelope = cast("dict[str, Any]", envelope)
    fields: Any = envelope.get("tool_call")
    if envelope.get("provider") != provider or not isinstance(fields, dict):
        return None
    return cast("dict[str, Any]", fields)
