"""The bytes of one reply, decoded into events as they arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import orjson

from antiphon.wire.openai.malformed import JsonObject, MalformedReplyError
from antiphon.wire.openai.repeated_chunk import RepeatedChunk
from antiphon.wire.openai.reply import ReplyTranslator, ReportedError
from antiphon.wire.sse import DEFAULT_NAME, EventStreamParser

if TYPE_CHECKING:
    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.wire.openai.dialect import Dialect

_DONE = b"[DONE]"


class ReplyDecoder:
    """One reply, streamed or whole.

    Every method raises `MalformedReplyError`, `ReportedError`, `orjson.JSONDecodeError` or `EventTooLargeError` where the reply is not an answer;
    `salvage` then still gives what had arrived.

    Attributes:
        ended: Whether the stream said that it is at its end.
    """

    __slots__ = ("_parser", "_repeated", "_translator", "ended")

    def __init__(self, spec: CompletionSpec, dialect: Dialect) -> None:
        self._parser = EventStreamParser()
        self._repeated = RepeatedChunk()
        self._translator = ReplyTranslator(spec, dialect)
        self.ended = False

    def feed(self, read: bytes) -> list[Event]:
        """Takes the next bytes of a stream and returns the events that they hold; the last ones where they hold its end."""
        for name, data in self._parser.feed(read):
            if data == _DONE:
                return self._end()
            self._add(name, data)
        return self._translator.take()

    def finish(self) -> list[Event]:
        """Returns the last events of a stream whose bytes are at their end without having said so, as those of many servers are."""
        for name, data in self._parser.finish():
            if data == _DONE:
                return self._end()
            self._add(name, data)
        if not self._translator.finished:
            raise MalformedReplyError("the stream ended before the answer did")
        return self._translator.complete()

    def whole(self, body: bytes) -> list[Event]:
        """Returns the events of a reply that is not streamed."""
        self._translator.add_whole(orjson.loads(body))
        return self._translator.complete()

    def salvage(self) -> list[Event]:
        """Returns what had arrived before a failure."""
        return self._translator.salvage()

    def _add(self, name: bytes, data: bytes) -> None:
        if not data:
            return  # some servers keep the connection alive with events that say nothing
        if name == DEFAULT_NAME and (text := self._repeated.text_of(data)):
            self._translator.add_text(text)
            return
        chunk: Any = orjson.loads(data)
        if name == b"error":
            raise ReportedError(cast("JsonObject", chunk) if isinstance(chunk, dict) else {})
        if text := self._translator.add_chunk(chunk):
            self._repeated.learn(data, text)

    def _end(self) -> list[Event]:
        if not self._translator.started:
            raise MalformedReplyError("the stream held no answer")
        self.ended = True
        return self._translator.complete()
