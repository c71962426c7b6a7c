"""Whether a text is a JSON Schema of draft 2020-12 that can be used offline."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import Any, cast

import jsonschema_rs
import orjson

from antiphon.errors import FieldViolation, InvalidRequestError, Reason

# Compiling a schema of this size takes well under a millisecond; a longer one leaves the event loop.
_INLINE_BYTES = 8192
_REMEMBERED = 4096


class SchemaChecker:
    """Checks schemas and remembers, by digest, those that were found good."""

    def __init__(self) -> None:
        self._good: OrderedDict[bytes, None] = OrderedDict()

    async def check(self, text: str, field: str, *, object_at_top: bool) -> None:
        """Checks one schema.

        Args:
            text: The schema.
            field: Its path in the request, for the error.
            object_at_top: Whether it must describe an object, as tools' arguments are.

        Raises:
            InvalidRequestError: It is no such schema (INVALID_JSON_SCHEMA).
        """
        data = text.encode()
        digest = hashlib.blake2b(data, digest_size=16, key=b"o" if object_at_top else b"").digest()
        if digest in self._good:
            self._good.move_to_end(digest)
            return
        if len(data) > _INLINE_BYTES:
            problem = await asyncio.to_thread(_problem, data, object_at_top=object_at_top)
        else:
            problem = _problem(data, object_at_top=object_at_top)
        if problem:
            raise InvalidRequestError(
                Reason.ERROR_REASON_INVALID_JSON_SCHEMA, f"{field}: {problem}", violations=[FieldViolation(field, problem)]
            )
        self._good[digest] = None
        if len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)


def _problem(data: bytes, *, object_at_top: bool) -> str | None:
    try:
        schema: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"is no JSON: {error}"
    if not isinstance(schema, dict | bool):
        return "is no JSON Schema: it must be an object"
    if object_at_top:
        kind = cast("dict[str, Any]", schema).get("type", "object") if isinstance(schema, dict) else None
        if kind != "object":
            return 'describes no object: its top level must have "type": "object"'
    try:
        jsonschema_rs.Draft202012Validator(cast("dict[str, Any] | bool", schema), retriever=_refuse)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return f"is no valid JSON Schema of draft 2020-12: {str(error).splitlines()[0][:200]}"
    return None


def _refuse(uri: str) -> Any:
    """Nothing is fetched for a schema: a caller must not make the server call addresses."""
    raise ValueError(f"references to other documents are not followed: {uri[:100]!r}")
