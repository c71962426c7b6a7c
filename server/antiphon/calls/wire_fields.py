"""How many fields a message has on the wire, counted without decoding it.

Two bytes on the wire can be a message inside a message, which costs some hundred bytes of memory when decoded and many microseconds when checked: a
request is bounded by its fields as well as by its bytes.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_VARINT, _LENGTH = 0, 2
# Fixed-width values of 8 and 4 bytes; the marks of a group's start and end, which hold nothing themselves.
_SIZES = {1: 8, 5: 4, 3: 0, 4: 0}


def fields_beyond(body: bytes, message: type[Message], most: int) -> bool:  # one loop: a call for each field would double what it takes
    """Says whether a message has more fields than so many, those of the messages inside it included.

    A field takes two bytes at least, so a short message is not looked at. Bytes that are no message end the count: decoding refuses them.
    """
    if len(body) <= 2 * most:
        return False
    count = 0
    waiting: list[tuple[int, int, Any]] = [(0, len(body), message.DESCRIPTOR)]
    while waiting:
        at, end, descriptor = waiting.pop()
        inner = _messages_in(descriptor)
        while at < end:
            count += 1
            if count > most:
                return True
            tag = body[at]
            at += 1
            if tag > 127:
                tag, at = _varint(body, at - 1, end)
            kind = tag & 7
            if kind == _LENGTH:
                size, at = _varint(body, at, end) if at >= end or body[at] > 127 else (body[at], at + 1)
                if size and (field := inner.get(tag >> 3)) is not None:
                    waiting.append((at, min(at + size, end), field))
                at += size
            elif kind == _VARINT:
                while at < end and body[at] > 127:
                    at += 1
                at += 1
            else:
                at += _SIZES.get(kind, end)
    return False


@functools.cache
def _messages_in(descriptor: Any) -> dict[int, Any]:
    """Returns the types of a message's fields that are messages themselves, by number."""
    return {field.number: field.message_type for field in descriptor.fields if field.message_type is not None}


def _varint(body: bytes, at: int, end: int) -> tuple[int, int]:
    """Returns the number that starts at a place, and the place behind it."""
    value = shift = 0
    while at < end:
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128 or shift > 63:
            break
        shift += 7
    return value, at
