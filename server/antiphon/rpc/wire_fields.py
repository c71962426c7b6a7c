"""How many fields a message has on the wire, counted without decoding it.

Two bytes on the wire can be a message inside a message, which costs some hundred bytes of memory when decoded and many microseconds when checked: a
request is bounded by its fields as well as by its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

_VARINT, _LENGTH = 0, 2
# Fixed-width values of 8 and 4 bytes; the marks of a group's start and end, which hold nothing themselves.
_SIZES = {1: 8, 5: 4, 3: 0, 4: 0}


def fields_beyond(body: bytes, message: type[Message], most: int) -> bool:
    """Says whether a message has more fields than so many, those of the messages inside it included.

    A field takes two bytes at least, so a short message is not looked at. Bytes that are no message end the count: decoding refuses them.
    """
    if len(body) <= 2 * most:
        return False
    count = 0
    waiting: list[tuple[int, int, Any]] = [(0, len(body), message.DESCRIPTOR)]
    while waiting:
        at, end, descriptor = waiting.pop()
        known = descriptor.fields_by_number
        while at < end:
            count += 1
            if count > most:
                return True
            tag, at = _varint(body, at, end)
            behind = _behind_value(body, at, end, tag & 7)
            if tag & 7 == _LENGTH:
                field = known.get(tag >> 3)
                if field is not None and field.message_type is not None:
                    waiting.append((_varint(body, at, end)[1], min(behind, end), field.message_type))
            at = behind
    return False


def _behind_value(body: bytes, at: int, end: int, kind: int) -> int:
    """Returns the place behind a value; the end where there can be no such value."""
    if kind == _VARINT:
        return _varint(body, at, end)[1]
    if kind == _LENGTH:
        size, at = _varint(body, at, end)
        return at + size
    return at + _SIZES.get(kind, end)


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
