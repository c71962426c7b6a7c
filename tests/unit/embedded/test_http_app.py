"""The routes speak the OpenAI wire format, keep strangers out, and stop the engine when a client leaves."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from antiphon.embedded.model_server.chat_service import ChatService
from antiphon.embedded.model_server.http_app import ChatRoutes
from tests.unit.embedded.fake_engine import FakeEmbedder, FakeEngine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
_TOOL = {"type": "function", "function": {"name": "get_weather", "description": "Forecast."}}


@asynccontextmanager
async def _served(engine: FakeEngine) -> AsyncGenerator[aiohttp.ClientSession]:
    service = ChatService(engine, FakeEmbedder("Forecast"))
    routes = ChatRoutes(service, api_key="key", model_name="m", default_max_tokens=9)
    runner = web.AppRunner(routes.application(), handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}", headers={"Authorization": "Bearer key"}) as session:
            yield session
    finally:
        await runner.cleanup()


async def _streamed(session: aiohttp.ClientSession, **body: Any) -> list[Any]:
    async with session.post("/v1/chat/completions", json={**_HELLO, "stream": True, **body}) as response:
        assert 200 == response.status
        events = (await response.text()).removesuffix("\n\n").split("\n\n")
    texts = [event.removeprefix("data: ") for event in events]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


async def test_a_body() -> None:
    async with _served(FakeEngine("hi")) as session, session.post("/v1/chat/completions", json=_HELLO) as response:
        body = await response.json()
    message = {"role": "assistant", "content": "hi", "refusal": None}
    assert [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}] == body["choices"]
    assert (5, 2, 7) == tuple(body["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens"))


async def test_a_stream() -> None:
    async with _served(FakeEngine("hi")) as session:
        *chunks, usage, done = await _streamed(session, stream_options={"include_usage": True})
    assert [{"role": "assistant", "content": "h"}, {"content": "i"}, {}] == [c["choices"][0]["delta"] for c in chunks]
    assert [None, None, "stop"] == [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert ([], 7, "[DONE]") == (usage["choices"], usage["usage"]["total_tokens"], done)


async def test_a_streamed_tool_call() -> None:
    async with _served(FakeEngine("{}")) as session:
        *chunks, done = await _streamed(session, tools=[_TOOL])
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    call = deltas[0]["tool_calls"][0]
    assert (0, "function", {"name": "get_weather", "arguments": ""}) == (call["index"], call["type"], call["function"])
    assert "{}" == "".join(delta["tool_calls"][0]["function"]["arguments"] for delta in deltas[1:-1])
    assert ("tool_calls", "[DONE]") == (chunks[-1]["choices"][0]["finish_reason"], done)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_the_first_token_has_a_status(stream: bool) -> None:
    body = {**_HELLO, "stream": stream, "n": 3}
    async with _served(FakeEngine("hi")) as session, session.post("/v1/chat/completions", json=body) as response:
        error = (await response.json())["error"]
    assert (400, "invalid_request_error", "n") == (response.status, error["type"], error["param"])


async def test_an_error_after_the_first_token_is_in_the_stream() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "integer"}}}
    async with _served(FakeEngine("x")) as session:
        chunks = await _streamed(session, response_format=schema)
    assert "schema_not_kept" == chunks[-1]["error"]["code"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/v1/models", 401),
        ("POST", "/v1/chat/completions", 401),
        ("POST", "/v1/chat/completions/tokens", 401),
    ],
)
async def test_all_but_health_needs_the_key(method: str, path: str, status: int) -> None:
    async with (
        _served(FakeEngine()) as session,
        session.request(method, path, headers={"Authorization": "Bearer wrong"}) as response,
    ):
        assert status == response.status


async def test_the_model_is_listed_and_tokens_are_counted() -> None:
    async with _served(FakeEngine()) as session:
        async with session.get("/v1/models") as response:
            assert ["m"] == [model["id"] for model in (await response.json())["data"]]
        async with session.post("/v1/chat/completions/tokens", json=_HELLO) as response:
            assert {"input_tokens": 1} == await response.json()


async def test_what_is_not_json_and_what_is_not_there() -> None:
    async with _served(FakeEngine()) as session:
        async with session.post("/v1/chat/completions", data=b"{") as response:
            assert (400, "invalid_request_error") == (response.status, (await response.json())["error"]["type"])
        async with session.get("/v1/nothing") as response:
            assert (404, "http_error") == (response.status, (await response.json())["error"]["code"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_engine(stream: bool) -> None:
    engine = FakeEngine("hi", stall=True)
    async with _served(engine) as session:
        request = asyncio.create_task(session.post("/v1/chat/completions", json={**_HELLO, "stream": stream}))
        async with asyncio.timeout(5):
            while not engine.asked:
                await asyncio.sleep(0.01)
            if stream:
                (await request).close()
            request.cancel()
            while not engine.stopped:
                await asyncio.sleep(0.01)
    assert 1 == engine.stopped
