"""Chunks that differ from the one before in their text alone, read without parsing all of them again.

A provider repeats its id, its model and everything else with each token, and parsing that is most of what reading a token costs. Where the bytes before and behind the text
are those of a chunk that was parsed and held plain text, the chunk says the same but for the text, and only that is parsed.
"""

from __future__ import annotations

from typing import Any

import orjson

_BEFORE_TEXT = b'"content":"'
# A provider whose chunks never repeat (one that pads each with random bytes, say) is not tried for ever.
_MOST_FRUITLESS = 8
_PROBE = "\x00another text"


class RepeatedChunk:
    """What the chunks of one stream have in common."""

    __slots__ = ("_fruitless", "_head", "_least_bytes", "_tail")

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._least_bytes = 0
        self._fruitless = 0

    def text_of(self, data: bytes) -> str:
        """Returns the text of a chunk that repeats the learned one in all else; empty where this one must be parsed."""
        if not self._head or len(data) <= self._least_bytes or not data.startswith(self._head) or not data.endswith(self._tail):
            return ""
        try:
            # Both marks are kept: what is between is one JSON string, or the chunk is another.
            text: Any = orjson.loads(data[len(self._head) - 1 : len(data) - len(self._tail) + 1])
        except orjson.JSONDecodeError:
            return ""
        self._fruitless = 0
        return text if isinstance(text, str) else ""

    def learn(self, data: bytes, text: str) -> None:
        """Takes a chunk that was parsed and held this text and nothing else that matters a second time."""
        if self._fruitless >= _MOST_FRUITLESS:
            return
        self._fruitless += 1
        before, mark, _ = data.partition(_BEFORE_TEXT)
        head = before + mark
        encoded = orjson.dumps(text)
        if not mark or not data.startswith(encoded, len(head) - 1):
            return
        tail = data[len(head) + len(encoded) - 2 :]
        if _content(head[:-1] + orjson.dumps(_PROBE) + tail[1:]) == _PROBE:
            self._head, self._tail, self._least_bytes = head, tail, len(head) + len(tail)


def _content(data: bytes) -> object:
    """Returns the text of a chunk that is known to be one but for its text."""
    return orjson.loads(data)["choices"][0]["delta"].get("content")
