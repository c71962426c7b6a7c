"""An estimate grows with everything that the model reads, and a long text does not hold up the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf import json_format

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.wire.openai.token_estimate import estimate_tokens

HI: dict[str, Any] = {"role": "ROLE_USER", "parts": [{"text": "hello world"}]}


def spec_of(spec: dict[str, Any]) -> CompletionSpec:
    return json_format.ParseDict({"messages": [HI], **spec}, CompletionSpec())


async def test_texts_and_their_framing_are_counted() -> None:
    # "hello world" is two tokens; three frame the message and three the answer.
    assert 8 == await estimate_tokens(spec_of({}))


MORE: dict[str, dict[str, Any]] = {
    "a message": {"messages": [HI, HI]},
    "a tool": {"tools": [{"name": "weather", "description": "Tells the weather.", "inputSchema": '{"type": "object"}'}]},
    "a schema": {"responseFormat": {"jsonSchema": {"schema": '{"type": "object"}'}}},
    "a tool call": {"messages": [HI, {"role": "ROLE_ASSISTANT", "parts": [{"toolCall": {"callId": "a", "name": "b", "arguments": "{}"}}]}]},
    "a tool result": {"messages": [HI, {"role": "ROLE_TOOL", "parts": [{"toolResult": {"callId": "a", "parts": [{"text": "sunny"}]}}]}]},
    "an image": {
        "messages": [{"role": "ROLE_USER", "parts": [{"text": "hello world"}, {"blob": {"mediaType": "image/png", "data": "YQ=="}}]}]
    },
}


@pytest.mark.parametrize("spec", MORE.values(), ids=MORE)
async def test_everything_that_is_read_counts(spec: dict[str, Any]) -> None:
    assert await estimate_tokens(spec_of(spec)) > await estimate_tokens(spec_of({}))


async def test_a_long_text_leaves_the_event_loop_free() -> None:
    await estimate_tokens(spec_of({}))
    counting = asyncio.create_task(
        estimate_tokens(spec_of({"messages": [{"role": "ROLE_USER", "parts": [{"text": "hello world " * 200_000}]}]}))
    )
    turns = 0
    while not counting.done():
        await asyncio.sleep(0.001)
        turns += 1

    assert await counting > 400_000
    assert turns > 3
