"""Checks on what a provider sent, before it becomes a message of the contract.

MalformedReplyError     the reply does not follow the dialect
"""

from __future__ import annotations

from typing import Any, cast

JsonObject = dict[str, Any]


class MalformedReplyError(Exception):
    """The reply does not follow the dialect; the message says where and holds nothing of its content."""


def as_object(value: Any, name: str) -> JsonObject:
    """Returns the object; an empty one for null."""
    if isinstance(value, dict):
        return cast("JsonObject", value)
    if value is None:
        return {}
    raise MalformedReplyError(f"{name} is no object")


def as_list(value: Any, name: str) -> list[Any]:
    """Returns the list; an empty one for null."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    if value is None:
        return []
    raise MalformedReplyError(f"{name} is no list")


def as_text(value: Any, name: str) -> str:
    """Returns the text; an empty one for null."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise MalformedReplyError(f"{name} is no text")
