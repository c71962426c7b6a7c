"""Chunks of the dialect as tests write them, and the answers that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from google.protobuf import json_format

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.wire.openai.decoder import ReplyDecoder
from antiphon.wire.openai.dialect import Dialect
from tests.conformance.answers import Answer, collect

if TYPE_CHECKING:
    from antiphon.api.core.v1.event_pb2 import Event

TOOLS = {"tools": [{"name": "weather"}, {"name": "time"}, {"name": "timezone"}]}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **choice: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish, **choice}],
    }


def call(index: int | None, call_id: str | None = None, name: str | None = None, arguments: Any = None, **extra: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"function": {}, **extra}
    if index is not None:
        entry["index"] = index
    if call_id is not None:
        entry["id"] = call_id
    if name is not None:
        entry["function"]["name"] = name
    if arguments is not None:
        entry["function"]["arguments"] = arguments
    return chunk({"tool_calls": [entry]})


def decoder(spec: dict[str, Any] | None = None, provider: str = "openai") -> ReplyDecoder:
    return ReplyDecoder(json_format.ParseDict(spec or {}, CompletionSpec()), Dialect(provider))


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in chunks)


def batches(*chunks: Any, spec: dict[str, Any] | None = None, done: bool = True) -> list[list[Event]]:
    """Decodes the chunks, each in a read of its own."""
    reply = decoder(spec)
    found = [reply.feed(sse(each)) for each in chunks]
    return [*found, reply.feed(b"data: [DONE]\n\n") if done else reply.finish()]


def answer(*chunks: Any, spec: dict[str, Any] | None = None) -> Answer:
    """Collects the answer from chunks in reads of their own, and sees to it that one read of them all says the same."""
    separately = collect(event for batch in batches(*chunks, spec=spec) for event in batch)
    together = collect(decoder(spec).feed(sse(*chunks) + b"data: [DONE]\n\n"))
    assert [vars(part) for part in separately.parts] == [vars(part) for part in together.parts]
    assert [(each.name, each.arguments) for each in separately.calls] == [(each.name, each.arguments) for each in together.calls]
    return separately
