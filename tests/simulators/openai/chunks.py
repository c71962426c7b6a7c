"""An answer in the API's words: as one object, or as the chunks of a stream."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulators.openai.answers import Answer, Citation, ToolCall

CREATED = 1_700_000_000


class Writer:
    """Writes the answer to one request."""

    def __init__(self, answer: Answer, body: dict[str, Any], number: int) -> None:
        self._answer = answer
        self._number = number
        self._model: str = body["model"]
        self._message_count = len(body["messages"])
        self._top_logprobs: int | None = body.get("top_logprobs", 0) if body.get("logprobs") else None
        options: dict[str, Any] = body.get("stream_options") or {}
        self._include_usage = bool(options.get("include_usage"))

    def whole(self) -> dict[str, Any]:
        """The reply in one piece."""
        answer = self._answer
        message: dict[str, Any] = {
            "role": "assistant",
            "content": answer.text or None,
            "refusal": "".join(answer.refusal) or None,
            "annotations": [],
        }
        if answer.reasoning:
            message["reasoning_content"] = "".join(answer.reasoning)
        if answer.tool_calls:
            message["tool_calls"] = [
                {
                    "id": self._call_id(index, call),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                    **call.extra,
                }
                for index, call in enumerate(answer.tool_calls)
            ]
        message["annotations"] = [_annotation(citation) for citation in answer.citations]
        choice = {"index": 0, "message": message, "logprobs": self._logprobs(answer.tokens), "finish_reason": answer.reason}
        return {**self._identity("chat.completion"), "choices": [choice], "usage": answer.usage_of(self._message_count).to_json()}

    def chunks(self) -> Iterator[dict[str, Any]]:
        """The chunks of a stream, in order."""
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        for text in self._answer.reasoning:
            yield self._chunk({"reasoning_content": text})
        for text in self._answer.tokens:
            yield self._chunk({"content": text}, logprobs=self._logprobs((text,)))
        for text in self._answer.refusal:
            yield self._chunk({"refusal": text})
        if self._answer.citations:
            yield self._chunk({"annotations": [_annotation(citation) for citation in self._answer.citations]})
        yield from self._call_chunks()
        yield self._chunk({}, finish_reason=self._answer.reason)
        if self._include_usage:
            yield {**self._identity("chat.completion.chunk"), "choices": [], "usage": self._usage()}

    def token_chunks(self) -> Iterator[dict[str, Any]]:
        """The chunks of the text alone, again and again."""
        while True:
            for text in self._answer.tokens or ("token ",):
                yield self._chunk({"content": text}, logprobs=self._logprobs((text,)))

    def _call_chunks(self) -> Iterator[dict[str, Any]]:
        calls = self._answer.tool_calls
        for index, call in enumerate(calls):
            function = {"name": call.name, "arguments": ""}
            yield self._chunk(
                {"tool_calls": [{"index": index, "id": self._call_id(index, call), "type": "function", "function": function, **call.extra}]}
            )
        for pieces in zip_longest(*(call.pieces for call in calls)):
            for index, piece in enumerate(pieces):
                if piece is not None:
                    yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def _chunk(self, delta: dict[str, Any], *, logprobs: dict[str, Any] | None = None, finish_reason: str | None = None) -> dict[str, Any]:
        chunk = {
            **self._identity("chat.completion.chunk"),
            "choices": [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}],
        }
        if self._answer.delivery.usage_in_each_chunk:
            chunk["usage"] = self._usage()
        elif self._include_usage:
            chunk["usage"] = None
        return chunk

    def _identity(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{self._number}",
            "object": kind,
            "created": CREATED,
            "model": self._model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulated",
        }

    def _usage(self) -> dict[str, Any]:
        return self._answer.usage_of(self._message_count).to_json()

    def _call_id(self, index: int, call: ToolCall) -> str:
        return call.call_id or f"call_{self._number}_{index}"

    def _logprobs(self, tokens: tuple[str, ...]) -> dict[str, Any] | None:
        if self._top_logprobs is None:
            return None
        content = [
            _logprob(
                token, 0.5, [_logprob(token, 0.5), *(_logprob(f"{token}~{rank}", 0.5 / 2**rank) for rank in range(1, self._top_logprobs))]
            )
            for token in tokens
        ]
        for entry in content:
            entry["top_logprobs"] = entry["top_logprobs"][: self._top_logprobs]
        return {"content": content, "refusal": None}


def _logprob(token: str, probability: float, top: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    entry: dict[str, Any] = {"token": token, "logprob": math.log(probability), "bytes": list(token.encode())}
    if top is not None:
        entry["top_logprobs"] = top
    return entry


def _annotation(citation: Citation) -> dict[str, Any]:
    source = {"url": citation.url, "title": citation.title, "start_index": citation.start_index, "end_index": citation.end_index}
    return {"type": "url_citation", "url_citation": source}
