"""The HTTP routes of the model server."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from antiphon.embedded.model_server.chat_request import ChatRequest, parse_chat_request
from antiphon.embedded.model_server.errors import ApiError, BadRequestError, UnauthorizedError
from antiphon.embedded.model_server.json_types import JsonObject, is_object
from antiphon.embedded.model_server.wire import WireFormat

if TYPE_CHECKING:
    from antiphon.embedded.model_server.chat_service import ChatEvent, ChatService

_LARGEST_BODY_BYTES = 8 * 1024 * 1024
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ChatRoutes:
    """Serves a `ChatService` in the OpenAI wire format."""

    def __init__(self, service: ChatService, *, api_key: str, model_name: str, default_max_tokens: int) -> None:
        """Take what the routes need."""
        self._service = service
        self._authorization = f"Bearer {api_key}".encode()
        self._model_name = model_name
        self._default_max_tokens = default_max_tokens

    def application(self) -> web.Application:
        """The application; run it with `handler_cancellation=True`, or a client that leaves does not stop its call."""
        application = web.Application(client_max_size=_LARGEST_BODY_BYTES, middlewares=[self._guard])
        application.router.add_get("/health", self._health)
        application.router.add_get("/v1/models", self._models)
        application.router.add_post("/v1/chat/completions", self._complete)
        application.router.add_post("/v1/chat/completions/tokens", self._count_tokens)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            if request.path != "/health":
                given = request.headers.get("Authorization", "").encode()
                if not hmac.compare_digest(given, self._authorization):
                    raise UnauthorizedError("the API key is missing or wrong", code="invalid_api_key")
            return await handler(request)
        except ApiError as error:
            return _json(error.body(), error.status)
        except web.HTTPException as error:
            wrapped = ApiError(error.reason, code="http_error")
            wrapped.error_type = "invalid_request_error" if error.status < 500 else "server_error"
            return _json(wrapped.body(), error.status)

    async def _health(self, _: web.Request) -> web.StreamResponse:
        return _json({"status": "ok"})

    async def _models(self, _: web.Request) -> web.StreamResponse:
        model: JsonObject = {"id": self._model_name, "object": "model", "created": 0, "owned_by": "antiphon"}
        return _json({"object": "list", "data": [model]})

    async def _count_tokens(self, request: web.Request) -> web.StreamResponse:
        chat = await self._read(request)
        return _json({"input_tokens": await self._service.count_tokens(chat)})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        chat = await self._read(request)
        wire = WireFormat(chat)
        async with aclosing(self._service.answer(chat)) as events:
            if not chat.stream:
                return _json(wire.body([event async for event in events]))
            # The first event decides the status: after it only the stream itself can tell of an error.
            first = await anext(events)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
            await response.prepare(request)
            await _write(response, wire, first)
            try:
                async for event in events:
                    await _write(response, wire, event)
            except ApiError as error:
                await response.write(_server_sent_event(orjson.dumps(error.body())))
            else:
                await response.write(_server_sent_event(b"[DONE]"))
            await response.write_eof()
            return response

    async def _read(self, request: web.Request) -> ChatRequest:
        try:
            body: object = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise BadRequestError(f"the body is not JSON: {error}") from error
        if not is_object(body):
            raise BadRequestError("the body must be a JSON object")
        # Off the loop: compiling a large JSON Schema takes some milliseconds.
        return await asyncio.to_thread(parse_chat_request, body, self._model_name, self._default_max_tokens)


async def _write(response: web.StreamResponse, wire: WireFormat, event: ChatEvent) -> None:
    for chunk in wire.chunks(event):
        await response.write(_server_sent_event(orjson.dumps(chunk)))


def _server_sent_event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _json(body: JsonObject, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")
