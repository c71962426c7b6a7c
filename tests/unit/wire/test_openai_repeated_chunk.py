"""A chunk read by what it repeats says the same as one that is parsed, and anything else is parsed."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from antiphon.wire.openai.repeated_chunk import RepeatedChunk


def chunk(text: str, **changes: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    document = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], "usage": None}
    return json.dumps({**document, **changes}, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.fixture
def learned() -> RepeatedChunk:
    repeated = RepeatedChunk()
    repeated.learn(chunk("first"), "first")
    return repeated


@pytest.mark.parametrize("text", ["a", " b", 'quote " and \\ slash', "line\nfeed", "ünï", "🙂", '","content":"x', "{}", "\u2028"])
def test_the_text_of_a_repeated_chunk_is_read(learned: RepeatedChunk, text: str) -> None:
    assert text == learned.text_of(chunk(text))


@pytest.mark.parametrize(
    "other",
    [
        chunk("a", created=2),
        chunk("a", usage={"completion_tokens": 1}),
        chunk("a", choices=[{"index": 0, "delta": {"content": "a"}, "logprobs": None, "finish_reason": "stop"}]),
        chunk("a", choices=[{"index": 0, "delta": {"content": "a", "role": "assistant"}, "logprobs": None, "finish_reason": None}]),
        chunk(""),
        chunk("a")[:-1],
        b"[DONE]",
        b"",
    ],
)
def test_any_other_chunk_is_left_to_be_parsed(learned: RepeatedChunk, other: bytes) -> None:
    assert "" == learned.text_of(other)


def test_bytes_between_the_marks_that_are_more_than_a_text_are_left_to_be_parsed(learned: RepeatedChunk) -> None:
    smuggled = chunk("MARK").replace(b"MARK", b'x","refusal":"y')
    assert "" == learned.text_of(smuggled)


def test_the_place_of_the_text_is_proved_before_it_is_believed() -> None:
    misleading = chunk("hello", system_fingerprint='"content":"hello')
    decoy = json.dumps({"note": {"content": "hello"}, **json.loads(chunk("hello"))}, separators=(",", ":")).encode()
    for data in (misleading, decoy):
        repeated = RepeatedChunk()
        repeated.learn(data, "hello")
        assert repeated.text_of(data) in {"", "hello"}
        assert "" == repeated.text_of(decoy.replace(b"hello", b"other", 1))


def test_a_provider_that_never_repeats_itself_is_given_up() -> None:
    repeated = RepeatedChunk()
    chance = random.Random(7)
    for number in range(20):
        repeated.learn(chunk("x", created=chance.random()), "x")
        assert "" == repeated.text_of(chunk("x", created=-number))
    last = chunk("x", created=99)
    repeated.learn(last, "x")
    assert "" == repeated.text_of(last)
