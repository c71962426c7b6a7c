"""Whether a text is a JSON Schema of draft 2020-12 that can be used offline."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from typing import Any, cast

import jsonschema_rs
import orjson

from antiphon.completion.json_text import parsed
from antiphon.errors import InvalidRequestError, Reason

# Compiling a schema of this size takes about a millisecond; after a longer one the event loop gets its turn: a request can hold many. A thread would
# not help, because the library keeps the interpreter's lock.
_INLINE_BYTES = 1024
# Compiling patterns costs most: 900 times `\w{50}` in one takes over a second. Texts of addresses and e-mail have patterns of some 400 characters.
_MOST_PATTERN_CHARACTERS = 1024
_MOST_PATTERN_CHARACTERS_ALTOGETHER = 4096
_PATTERN_PROGRAM_BYTES = 2**20
_REMEMBERED = 4096


_PATTERNS = jsonschema_rs.FancyRegexOptions(size_limit=_PATTERN_PROGRAM_BYTES, dfa_size_limit=_PATTERN_PROGRAM_BYTES)


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
        problem = _problem(data, object_at_top=object_at_top)
        if len(data) > _INLINE_BYTES:
            await asyncio.sleep(0)
        if problem:
            raise InvalidRequestError.at(Reason.ERROR_REASON_INVALID_JSON_SCHEMA, field, problem)
        self._good[digest] = None
        if len(self._good) > _REMEMBERED:
            self._good.popitem(last=False)


def _problem(data: bytes, *, object_at_top: bool) -> str | None:
    try:
        schema: Any = parsed(data)
    except orjson.JSONDecodeError as error:
        return f"is no JSON: {error}"
    if not isinstance(schema, dict):
        return "is no JSON Schema: it must be an object"
    document = cast("dict[str, Any]", schema)
    if object_at_top and document.get("type", "object") != "object":
        return 'describes no object: its top level must have "type": "object"'
    if problem := _pattern_problem(document):
        return problem
    try:
        jsonschema_rs.Draft202012Validator(document, retriever=_refuse, pattern_options=_PATTERNS)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        return f"is no valid JSON Schema of draft 2020-12: {str(error).splitlines()[0][:200]}"
    return None


def _pattern_problem(schema: Any) -> str | None:
    altogether = 0
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += cast("list[Any]", value)
        elif isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            waiting += members.values()
            for pattern in _patterns(members):
                altogether += len(pattern)
                if len(pattern) > _MOST_PATTERN_CHARACTERS:
                    return f"has a pattern of more than {_MOST_PATTERN_CHARACTERS} characters"
                if altogether > _MOST_PATTERN_CHARACTERS_ALTOGETHER:
                    return f"has patterns of more than {_MOST_PATTERN_CHARACTERS_ALTOGETHER} characters altogether"
    return None


def _patterns(members: dict[str, Any]) -> list[str]:
    found: list[str] = []
    if isinstance(pattern := members.get("pattern"), str):
        found.append(pattern)
    if isinstance(properties := members.get("patternProperties"), dict):
        found += cast("dict[str, Any]", properties)
    return found


def _refuse(uri: str) -> Any:
    """Nothing is fetched for a schema: a caller must not make the server call addresses."""
    raise ValueError(f"references to other documents are not followed: {uri[:100]!r}")
