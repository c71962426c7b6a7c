"""Server-sent events, parsed from bytes as they arrive.

It follows the WHATWG's HTML standard, section "Server-sent events", but for two things that model streams need: the data stays bytes, because JSON
is parsed from bytes, and an event without its blank line at the end of the stream is given out, because some servers forget that line.
"""

from __future__ import annotations

from typing import TypeAlias

# The event's name, `message` where it gave none, and its data.
ServerSentEvent: TypeAlias = tuple[bytes, bytes]

DEFAULT_NAME = b"message"
DEFAULT_EVENT_LIMIT_BYTES = 2**24

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_COLON = 0x3A


class EventTooLargeError(Exception):
    """One event is larger than the parser's limit."""


class EventStreamParser:
    """One stream's parser.

    Events, lines and characters may be split anywhere between two feeds; the events are the same.
    """

    __slots__ = ("_after_carriage_return", "_at_start", "_limit_bytes", "_pending")

    def __init__(self, event_limit_bytes: int = DEFAULT_EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = event_limit_bytes
        self._pending = bytearray()
        self._at_start = True
        self._after_carriage_return = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Takes the next bytes and returns the events that they complete.

        Raises:
            EventTooLargeError: An event is larger than the limit. The parser is of no use any more.
        """
        if self._at_start or self._after_carriage_return or b"\r" in chunk:
            chunk = self._normalise(chunk)
        pending = self._pending
        if not pending and chunk[-2:] == b"\n\n":
            return self._parse(chunk[:-2])
        # What was searched before holds no blank line, but its last line feed may be the first half of one.
        searched = max(len(pending) - 1, 0)
        pending += chunk
        end = pending.rfind(b"\n\n", searched)
        events: list[ServerSentEvent] = []
        if end >= 0:
            events = self._parse(bytes(pending[:end]))
            del pending[: end + 2]
        if pending and pending[0] == _COLON:
            # Keep-alives that come as comments alone would otherwise add up.
            while pending and pending[0] == _COLON and (line_end := pending.find(b"\n")) >= 0:
                del pending[: line_end + 1]
        if len(pending) > self._limit_bytes:
            raise EventTooLargeError(f"an event is larger than {self._limit_bytes} bytes")
        return events

    def finish(self) -> list[ServerSentEvent]:
        """Ends the stream and returns the event that lacks its blank line, if there is one."""
        rest = bytes(self._pending)
        self._pending.clear()
        return self._parse(rest)

    def _normalise(self, chunk: bytes) -> bytes:
        if self._at_start:
            # The mark may itself be split, so its first bytes wait.
            head = bytes(self._pending) + chunk
            self._pending.clear()
            if len(head) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(head):
                self._pending += head
                return b""
            self._at_start = False
            chunk = head.removeprefix(_BYTE_ORDER_MARK)
        if self._after_carriage_return and chunk:
            # A carriage return ended its line at once, so that its event did not wait; the line feed of the pair is then no line of its own.
            self._after_carriage_return = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_carriage_return = chunk[-1:] == b"\r"
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def _parse(self, text: bytes) -> list[ServerSentEvent]:
        events: list[ServerSentEvent] = []
        if len(text) > self._limit_bytes and any(len(block) > self._limit_bytes for block in text.split(b"\n\n")):
            raise EventTooLargeError(f"an event is larger than {self._limit_bytes} bytes")
        for block in text.split(b"\n\n"):
            if block[:6] == b"data: " and b"\n" not in block:
                events.append((DEFAULT_NAME, block[6:]))
            elif block and (event := _parse_block(block)):
                events.append(event)
        return events


def _parse_block(block: bytes) -> ServerSentEvent | None:
    name = DEFAULT_NAME
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ") or DEFAULT_NAME
        # A comment has an empty field; `id` and `retry` serve reconnecting, which no model stream knows.
    return (name, b"\n".join(data)) if data else None
