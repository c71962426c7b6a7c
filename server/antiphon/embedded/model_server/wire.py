"""Bodies and chunks in the OpenAI chat-completions wire format."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from antiphon.embedded.model_server.chat_service import ChatEvent, ToolCallStarted
from antiphon.embedded.model_server.engine import Finished, TextDelta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.embedded.model_server.chat_request import ChatRequest
    from antiphon.embedded.model_server.json_types import JsonArray, JsonObject, JsonValue


class WireFormat:
    """Writes the answer to one request."""

    def __init__(self, request: ChatRequest) -> None:
        """Fix the id and the time of the answer."""
        self._request = request
        self._id = f"chatcmpl-{secrets.token_hex(16)}"
        self._created = int(time.time())
        self._role_sent = False
        self._calls_tool = False

    def chunks(self, event: ChatEvent) -> list[JsonObject]:
        """The stream chunks of one event; call it with every event in order."""
        if isinstance(event, ToolCallStarted):
            self._calls_tool = True
            call: JsonObject = {
                "index": 0,
                "id": event.call_id,
                "type": "function",
                "function": {"name": event.name, "arguments": ""},
            }
            return [self._chunk(self._with_role({"content": None, "tool_calls": [call]}))]
        if isinstance(event, TextDelta):
            if self._calls_tool:
                part: JsonObject = {"index": 0, "function": {"arguments": event.text}}
                return [self._chunk({"tool_calls": [part]})]
            return [self._chunk(self._with_role({"content": event.text}), logprobs=self._logprobs(event.logprobs))]
        chunks = [self._chunk(self._with_role({}), finish_reason=self._finish_reason(event))]
        if self._request.include_usage:
            chunks.append({**self._envelope("chat.completion.chunk"), "choices": [], "usage": _usage(event)})
        return chunks

    def body(self, events: Sequence[ChatEvent]) -> JsonObject:
        """The body of an answer that is not streamed, from all its events."""
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        started = next((event for event in events if isinstance(event, ToolCallStarted)), None)
        finished = next(event for event in events if isinstance(event, Finished))
        message: JsonObject = {"role": "assistant", "content": text, "refusal": None}
        logprobs: JsonValue = None
        if started is not None:
            self._calls_tool = True
            call: JsonObject = {
                "id": started.call_id,
                "type": "function",
                "function": {"name": started.name, "arguments": text},
            }
            message["content"] = None
            message["tool_calls"] = [call]
        else:
            entries = [entry for event in events if isinstance(event, TextDelta) for entry in event.logprobs]
            logprobs = self._logprobs(entries)
        choice: JsonObject = {
            "index": 0,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": self._finish_reason(finished),
        }
        return {**self._envelope("chat.completion"), "choices": [choice], "usage": _usage(finished)}

    def _finish_reason(self, finished: Finished) -> str:
        return "tool_calls" if self._calls_tool and finished.reason == "stop" else finished.reason

    def _with_role(self, delta: JsonObject) -> JsonObject:
        if self._role_sent:
            return delta
        self._role_sent = True
        return {"role": "assistant", **delta}

    def _chunk(self, delta: JsonObject, *, finish_reason: str | None = None, logprobs: JsonValue = None) -> JsonObject:
        choice: JsonObject = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        chunk: JsonObject = {**self._envelope("chat.completion.chunk"), "choices": [choice]}
        if self._request.include_usage:
            chunk["usage"] = None
        return chunk

    def _envelope(self, kind: str) -> JsonObject:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._request.model}

    def _logprobs(self, entries: Sequence[JsonObject]) -> JsonValue:
        if not self._request.sampling.logprobs or not entries:
            return None
        content: JsonArray = []
        for entry in entries:
            alternatives = entry.get("top_logprobs")
            kept = alternatives[: self._request.sampling.top_logprobs] if isinstance(alternatives, list) else []
            content.append(
                {
                    "token": entry.get("token"),
                    "logprob": entry.get("logprob"),
                    "bytes": entry.get("bytes"),
                    "top_logprobs": [
                        {name: other.get(name) for name in ("token", "logprob", "bytes")} for other in kept if isinstance(other, dict)
                    ],
                }
            )
        return {"content": content, "refusal": None}


def _usage(finished: Finished) -> JsonObject:
    return {
        "prompt_tokens": finished.prompt_tokens,
        "completion_tokens": finished.completion_tokens,
        "total_tokens": finished.prompt_tokens + finished.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": finished.cached_tokens},
    }
