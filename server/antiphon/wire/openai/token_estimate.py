"""How many tokens a conversation takes, estimated offline with OpenAI's tokenizer `o200k_base`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol, cast

from rs_bpe.bpe import openai  # pyright: ignore[reportUnknownVariableType] - the package has no type information

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.message_pb2 import Part

TOKENIZER: Final = "o200k_base"

# The framing of a conversation, from OpenAI's cookbook, "How to count tokens with tiktoken": three tokens around a message, three before the answer.
_TOKENS_PER_MESSAGE = 3
_TOKENS_BEFORE_ANSWER = 3
# From the same place, of what a function costs beyond its texts.
_TOKENS_PER_TOOL = 7
_TOKENS_AFTER_TOOLS = 12
_TOKENS_PER_CALL = 4
# An image of 1,024 x 1,024 pixels in full detail: 85 + 4 x 170.
_TOKENS_PER_IMAGE = 765

# Counting this much takes about a millisecond.
_SHORT_CHARACTERS = 20_000
# The tokenizer holds the interpreter's lock while it counts, so that only pauses between slices let the event loop run.
_SLICE_CHARACTERS = 16_384


class _Tokenizer(Protocol):
    def count(self, text: str) -> int: ...


class _Encodings(Protocol):
    def is_cached_o200k(self) -> bool: ...

    def o200k_base(self) -> _Tokenizer: ...


_encodings = cast("_Encodings", openai)


async def estimate_tokens(spec: CompletionSpec) -> int:
    """Returns the input tokens that the specification would take, without those of audio and documents.

    A long text is counted beside the event loop.
    """
    texts = list(_texts(spec))
    if sum(map(len, texts)) <= _SHORT_CHARACTERS and _encodings.is_cached_o200k():
        counted = _count(texts)
    else:
        counted = await asyncio.to_thread(_count, texts)
    return counted + _framing(spec)


def _count(texts: list[str]) -> int:
    tokenizer = _encodings.o200k_base()
    return sum(
        tokenizer.count(text[start : start + _SLICE_CHARACTERS]) for text in texts for start in range(0, len(text), _SLICE_CHARACTERS)
    )


def _texts(spec: CompletionSpec) -> Iterator[str]:
    for message in spec.messages:
        for part in message.parts:
            yield from _texts_of(part)
    for tool in spec.tools:
        yield tool.name
        yield tool.description
        yield tool.input_schema
    if spec.response_format.HasField("json_schema"):
        yield spec.response_format.json_schema.schema


def _texts_of(part: Part) -> Iterator[str]:
    kind = part.WhichOneof("content")
    if kind == "text":
        yield part.text
    elif kind == "tool_call":
        yield part.tool_call.name
        yield part.tool_call.arguments
    elif kind == "tool_result":
        for inner in part.tool_result.parts:
            yield from _texts_of(inner)


def _framing(spec: CompletionSpec) -> int:
    tokens = _TOKENS_BEFORE_ANSWER + _TOKENS_PER_MESSAGE * len(spec.messages)
    if spec.tools:
        tokens += _TOKENS_AFTER_TOOLS + _TOKENS_PER_TOOL * len(spec.tools)
    for message in spec.messages:
        for part in message.parts:
            if part.HasField("tool_call"):
                tokens += _TOKENS_PER_CALL
            elif (part.HasField("blob") and part.blob.media_type.startswith("image/")) or part.HasField("uri"):
                tokens += _TOKENS_PER_IMAGE
    return tokens
