"""The simulator itself: routes, credentials, and what is sent for each scripted reply."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from aiohttp import web

from tests.simulators.openai.answers import Answer, ToolCall
from tests.simulators.openai.chunks import CREATED, Writer
from tests.simulators.openai.failures import Failure, model_not_found, unauthorized
from tests.simulators.openai.json_types import is_list, is_object
from tests.simulators.openai.rules import broken_rule
from tests.simulators.openai.schema_sample import sample
from tests.simulators.openai.stream import StreamSender
from tests.simulators.openai.transport import HangUp, Raw, RecordedRequest, Silence, hang_up, reset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

Reply: TypeAlias = Answer | Failure | Raw | Silence | HangUp

_LARGEST_REQUEST_BYTES = 2**27
_POLL_S = 0.002


class OpenAISimulator:
    """A server of the API on a loopback port of its own, from `async with` on until its end.

    Requests are answered by the scripted replies in turn, then by `respond`.

    Attributes:
        models: The models there are; others are answered with 404.
        requests: What was received, in order.
        respond: Makes the reply where none is scripted.
    """

    def __init__(
        self,
        api_key: str | None = "test-key",
        *,
        models: Iterable[str] = ("sim-1", "sim-2"),
        respond: Callable[[RecordedRequest], Reply] | None = None,
        extra_parameters: Iterable[str] = (),
        extra_routes: Mapping[str, Callable[[RecordedRequest], dict[str, Any]]] | None = None,
    ) -> None:
        """Prepares it; nothing listens yet.

        Args:
            api_key: The key it asks for; None takes every request.
            models: The models there are.
            respond: Makes the reply where none is scripted; None answers with what fits the request.
            extra_parameters: Parameters that it takes beyond the API's, as compatible servers do.
            extra_routes: What it answers beyond the API, by the path of a POST.
        """
        self.models = list(models)
        self.requests: list[RecordedRequest] = []
        self.respond = respond or fitting_answer
        self._api_key = api_key
        self._extra_parameters = frozenset(extra_parameters)
        self._extra_routes = dict(extra_routes or {})
        self._script: deque[Reply] = deque()
        self._models_script: deque[Reply] = deque()
        self._runner: web.AppRunner | None = None
        self._closing = False
        self.base_url = ""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=_LARGEST_REQUEST_BYTES)
        application.router.add_post("/v1/chat/completions", self._complete)
        application.router.add_get("/v1/models", self._list_models)
        for path in self._extra_routes:
            application.router.add_post(path, self._answer_extra)
        # Tests make it fail on purpose; what they want to know is in `requests`.
        logger = logging.getLogger("tests.simulators.openai")
        self._runner = web.AppRunner(application, handler_cancellation=True, access_log=None, logger=logger, shutdown_timeout=0.05)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing = True
        if self._runner is not None:
            await self._runner.cleanup()

    def script(self, *replies: Reply) -> None:
        """Adds replies for the next completions."""
        self._script.extend(replies)

    def script_models(self, *replies: Reply) -> None:
        """Adds replies for the next lists of models."""
        self._models_script.extend(replies)

    async def received(self, count: int = 1, timeout_s: float = 5.0) -> RecordedRequest:
        """Waits until this many requests have arrived and returns the last of them.

        Raises:
            TimeoutError: They did not.
        """
        async with asyncio.timeout(timeout_s):
            while len(self.requests) < count:
                await asyncio.sleep(_POLL_S)
        return self.requests[count - 1]

    async def disconnected(self, timeout_s: float = 5.0) -> float:
        """Waits until the client of the last request has gone away before its reply was whole; returns when, on the monotonic clock.

        Raises:
            TimeoutError: It stayed.
        """
        record = self.requests[-1] if self.requests else await self.received(timeout_s=timeout_s)
        async with asyncio.timeout(timeout_s):
            await record.gone.wait()
        assert record.disconnected_s is not None, "set before the event is"
        return record.disconnected_s

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        server = self._runner.server if self._runner is not None else None
        return len(server.connections) if server is not None else 0

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        record = await self._record(request)
        if denied := self._denied(request):
            return await self._fail(denied)
        try:
            body = record.body
        except ValueError:
            body = None
        reply: Reply | None = broken_rule(body, self._extra_parameters)
        if reply is None and body is not None and body["model"] not in self.models:
            reply = model_not_found(body["model"])
        if reply is None:
            reply = self._script.popleft() if self._script else self.respond(record)
        return await self._watched(request, record, reply, body or {})

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        record = await self._record(request)
        if denied := self._denied(request):
            return await self._fail(denied)
        if self._models_script:
            return await self._watched(request, record, self._models_script.popleft(), {})
        data = [{"id": model, "object": "model", "created": CREATED, "owned_by": "simulator"} for model in self.models]
        return web.json_response({"object": "list", "data": data}, headers=self._headers())

    async def _answer_extra(self, request: web.Request) -> web.StreamResponse:
        record = await self._record(request)
        if denied := self._denied(request):
            return await self._fail(denied)
        return web.json_response(self._extra_routes[request.path](record), headers=self._headers())

    async def _watched(self, request: web.Request, record: RecordedRequest, reply: Reply, body: dict[str, Any]) -> web.StreamResponse:
        try:
            return await self._reply(request, record, reply, body)
        except (asyncio.CancelledError, ConnectionResetError):
            if not self._closing:
                record.mark_disconnected()
            raise

    async def _reply(self, request: web.Request, record: RecordedRequest, reply: Reply, body: dict[str, Any]) -> web.StreamResponse:
        if isinstance(reply, Failure):
            return await self._fail(reply)
        if isinstance(reply, Raw):
            headers = {**self._headers(), **reply.headers}
            if reply.content_type is not None:
                headers["Content-Type"] = reply.content_type
            return web.Response(body=reply.body, status=reply.status, headers=headers)
        if isinstance(reply, Silence):
            await asyncio.Event().wait()
        if isinstance(reply, HangUp):
            if request.transport is not None:
                request.transport.write(reply.bytes_before)
            (reset if reply.reset else hang_up)(request)
            return web.Response()
        assert isinstance(reply, Answer), "the last kind of reply"
        return await self._answer(request, record, reply, body)

    async def _answer(self, request: web.Request, record: RecordedRequest, answer: Answer, body: dict[str, Any]) -> web.StreamResponse:
        writer = Writer(answer, body, len(self.requests))
        await asyncio.sleep(answer.delivery.headers_delay_s)
        if not body.get("stream"):
            return web.json_response(writer.whole(), headers=self._headers())
        response = web.StreamResponse(
            headers={**self._headers(), "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        )
        await response.prepare(request)
        chunks = writer.token_chunks() if answer.delivery.endless else writer.chunks()
        await StreamSender(request, response, answer.delivery, record).send(chunks)
        return response

    async def _fail(self, failure: Failure) -> web.Response:
        await asyncio.sleep(failure.headers_delay_s)
        return web.json_response(failure.to_json(), status=failure.status, headers={**self._headers(), **failure.headers})

    async def _record(self, request: web.Request) -> RecordedRequest:
        record = RecordedRequest(request.method, request.path, request.headers.copy(), await request.read())
        self.requests.append(record)
        return record

    def _denied(self, request: web.Request) -> Failure | None:
        if self._api_key is None or request.headers.get("Authorization") == f"Bearer {self._api_key}":
            return None
        return unauthorized()

    def _headers(self) -> dict[str, str]:
        return {
            "x-request-id": f"req_{len(self.requests)}",
            "openai-processing-ms": "1",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-reset-requests": "6ms",
        }


def fitting_answer(record: RecordedRequest) -> Answer:
    """Answers what fits: a call where one is demanded, a value where a schema is given, else an echo of the last message."""
    body = record.body
    if calls := _demanded_calls(body):
        return Answer(tool_calls=calls)
    wanted: dict[str, Any] = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return Answer(tokens=(json.dumps(sample(wanted["json_schema"].get("schema", {}))),))
    if wanted.get("type") == "json_object":
        return Answer(tokens=("{", "}"))
    content: Any = body["messages"][-1].get("content")
    text = " ".join(part.get("text", "") for part in content) if is_list(content) else str(content)
    words = [word + " " for word in f"You said: {text}".split(" ")]
    words[-1] = words[-1].rstrip(" ")
    limit: int | None = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is not None and limit < len(words):
        return Answer(tokens=tuple(words[:limit]), finish_reason="length")
    return Answer(tokens=tuple(words))


def _demanded_calls(body: dict[str, Any]) -> tuple[ToolCall, ...]:
    name = _demanded_name(body)
    tools: list[dict[str, Any]] = body.get("tools") or []
    functions: list[dict[str, Any]] = [tool["function"] for tool in tools if tool["function"]["name"] == name]
    return tuple(ToolCall(function["name"], (json.dumps(sample(function.get("parameters", {}))),)) for function in functions)


def _demanded_name(body: dict[str, Any]) -> str | None:
    choice: Any = body.get("tool_choice")
    if choice == "required":
        return body["tools"][0]["function"]["name"]
    if not is_object(choice):
        return None
    if choice.get("type") == "allowed_tools":
        allowed: dict[str, Any] = choice["allowed_tools"]
        return allowed["tools"][0]["function"]["name"] if allowed["mode"] == "required" else None
    return choice["function"]["name"]
