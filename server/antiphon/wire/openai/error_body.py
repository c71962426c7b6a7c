"""The error bodies of the dialect, in the forms that its servers give them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

import orjson

from antiphon.telemetry.redaction import without_credentials

_LONGEST_MESSAGE = 500
_LONGEST_CODE = 128
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What a provider said about an error. A field that it left out is empty.

    Attributes:
        message: Its words: shortened, without control characters and without what looks like a credential.
        code: Its code, as in `context_length_exceeded`.
        type: Its type, as in `invalid_request_error`.
        param: The request's field at fault.
    """

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""

    @property
    def name(self) -> str:
        """The code, or the type where there is none."""
        return self.code or self.type


def parse_error_body(body: bytes) -> ErrorBody:
    """Reads an error's body; an empty error where it is not JSON, such as a page of HTML."""
    try:
        return to_error_body(orjson.loads(body))
    except orjson.JSONDecodeError:
        return ErrorBody()


def to_error_body(value: Any) -> ErrorBody:
    """Reads an error.

    The dialect's own form is `{"error": {"message", "type", "param", "code"}}`. Known besides: the object without `error` around it, a text in the place
    of the object, `detail` for the message, and a list around it all.
    """
    if isinstance(value, list):
        value = cast("list[Any]", value)[0] if value else None
    if not isinstance(value, dict):
        return ErrorBody()
    outer = cast("dict[str, Any]", value)
    error: Any = outer.get("error", outer)
    if isinstance(error, str):
        return ErrorBody(message=_public(error))
    if not isinstance(error, dict):
        return ErrorBody()
    inner = cast("dict[str, Any]", error)
    return ErrorBody(
        message=_public(inner.get("message") or inner.get("detail")),
        code=_word(inner.get("code")),
        type=_word(inner.get("type")),
        param=_word(inner.get("param")),
    )


def _public(text: Any) -> str:
    if not isinstance(text, str):
        return ""
    text = without_credentials(_CONTROL_CHARACTERS.sub(" ", text[: 4 * _LONGEST_MESSAGE])).strip()
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…"


def _word(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return without_credentials(_CONTROL_CHARACTERS.sub(" ", value[:_LONGEST_CODE])) if isinstance(value, str) else ""
