"""The engine over llama.cpp: worker threads compute, the event loop hands out what they produce."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import orjson

from antiphon.embedded.model_server.engine import Finished, Generation, PromptMessage, TextDelta
from antiphon.embedded.model_server.errors import ApiError, BadRequestError, BusyError, EngineFaultError
from antiphon.embedded.model_server.json_types import JsonObject, is_array, is_object, is_whole
from antiphon.embedded.model_server.native_llama import NativeServer, load_native_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from antiphon.embedded.model_server.settings import Settings

_TOKEN_COUNT_TIMEOUT_S = 10.0


class LlamaEngine:
    """Implements `Engine`. One worker thread a slot; what finds no free worker waits in their queue."""

    def __init__(self, settings: Settings) -> None:
        """Load the model; blocks for about a second.

        Raises:
            RuntimeError: The weights cannot be loaded.
        """
        self._socket_path = settings.runtime_dir / "native.sock"
        self._internal_key = secrets.token_urlsafe(32)
        self._native: NativeServer = load_native_server(settings, self._socket_path, self._internal_key)
        self._workers = ThreadPoolExecutor(settings.parallel_slots, thread_name_prefix="llama")
        self._accepted = 0
        self._most_accepted = settings.parallel_slots + settings.max_waiting

    async def generate(self, generation: Generation) -> AsyncGenerator[TextDelta | Finished, None]:
        """See `Engine.generate`."""
        if self._accepted >= self._most_accepted:
            raise BusyError("too many requests wait for the model", code="queue_full")
        body = _native_body(generation)
        loop = asyncio.get_running_loop()
        # Unbounded, yet limited: one request yields no more chunks than its context has tokens.
        chunks: asyncio.Queue[str | None] = asyncio.Queue()
        cancelled = threading.Event()

        def hand_over(chunk: str | None) -> bool:
            if not cancelled.is_set():
                try:
                    loop.call_soon_threadsafe(chunks.put_nowait, chunk)
                except RuntimeError:
                    return True  # The loop is closed: the process ends.
            return cancelled.is_set()

        def compute() -> None:
            try:
                if not cancelled.is_set():
                    self._native.handle_chat_completions(body, hand_over)
            finally:
                hand_over(None)

        self._accepted += 1
        work = self._workers.submit(compute)
        work.add_done_callback(lambda _: _call_quietly(loop, self._release))
        try:
            reader = _ChunkReader()
            while (chunk := await chunks.get()) is not None:
                for event in reader.events(chunk):
                    yield event
                    if isinstance(event, Finished):
                        return
            raise EngineFaultError("the engine ended without a result")
        finally:
            cancelled.set()
            work.cancel()

    async def count_prompt_tokens(self, messages: tuple[PromptMessage, ...]) -> int:
        """See `Engine.count_prompt_tokens`."""
        return await asyncio.to_thread(self._count_prompt_tokens, messages)

    def _release(self) -> None:
        self._accepted -= 1

    def _count_prompt_tokens(self, messages: tuple[PromptMessage, ...]) -> int:
        # The binding has no call for this: its native listener, bound to a socket file, answers it in a millisecond.
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(_TOKEN_COUNT_TIMEOUT_S)
            connection.sock.connect(str(self._socket_path))
            connection.request(
                "POST",
                "/v1/chat/completions/input_tokens",
                json.dumps({"messages": _native_messages(messages)}),
                {"Authorization": f"Bearer {self._internal_key}", "Content-Type": "application/json"},
            )
            response = connection.getresponse()
            answer: object = orjson.loads(response.read())
        finally:
            connection.close()
        if not is_object(answer):
            raise EngineFaultError("the engine's token count cannot be read")
        if response.status != 200:
            raise _translate(answer.get("error"))
        count = answer.get("input_tokens")
        if not is_whole(count):
            raise EngineFaultError("the engine's token count cannot be read")
        return count


class _ChunkReader:
    """Reads the engine's chunks; the reason of the end and the usage come in two of them."""

    def __init__(self) -> None:
        self._finish_reason = "stop"

    def events(self, raw: str) -> Iterator[TextDelta | Finished]:
        """The events of one chunk; chunks that tell of progress in the prompt have none."""
        chunk = orjson.loads(raw)
        if "error" in chunk:
            raise _translate(chunk["error"])
        if usage := chunk.get("usage"):
            yield Finished(
                reason=self._finish_reason,
                prompt_tokens=usage["prompt_tokens"],
                completion_tokens=usage["completion_tokens"],
                cached_tokens=usage.get("prompt_tokens_details", {}).get("cached_tokens", 0),
            )
        for choice in chunk["choices"]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            if text := choice["delta"].get("content"):
                yield TextDelta(text, _logprobs(choice.get("logprobs")))


def _call_quietly(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    # The loop is closed when the process ends.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def _native_messages(messages: tuple[PromptMessage, ...]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _native_body(generation: Generation) -> str:
    sampling = generation.sampling
    body: JsonObject = {
        "messages": [{"role": message.role, "content": message.content} for message in generation.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        # A chunk per batch of the prompt: between two chunks a cancelled request cannot be noticed.
        "return_progress": True,
        # A reused prompt is not bit-identical to a computed one (measured: other words in 2 of 3 second turns), so
        # requests that must repeat do without the prompt cache.
        "cache_prompt": not sampling.must_repeat,
    }
    optional: JsonObject = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "grammar": generation.grammar,
        "stop": list(sampling.stop) or None,
        "logprobs": sampling.logprobs or None,
        # The engine calls zero alternatives an error and leaves the drawn token out of the list.
        "top_logprobs": max(sampling.top_logprobs, 1) if sampling.logprobs else None,
    }
    body.update({name: value for name, value in optional.items() if value is not None})
    return orjson.dumps(body).decode()


def _logprobs(value: object) -> tuple[JsonObject, ...]:
    if not is_object(value):
        return ()
    content = value.get("content")
    return tuple(entry for entry in content if is_object(entry)) if is_array(content) else ()


def _translate(error: object) -> ApiError:
    if not is_object(error):
        return EngineFaultError("the engine failed without a reason")
    message = str(error.get("message"))
    if error.get("type") == "exceed_context_size_error":
        return BadRequestError(
            f"the model's context is {error.get('n_ctx')} tokens, but the messages have {error.get('n_prompt_tokens')} tokens",
            code="context_length_exceeded",
            param="messages",
        )
    if error.get("code") == 400:
        return BadRequestError(message)
    return EngineFaultError(message)
