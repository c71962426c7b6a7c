"""The second port keeps the promises of the first: typed refusals of all that is no call, deadlines, cancellation, slow readers, draining."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import grpc
import pytest
import pytest_asyncio

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.error_pb2 import ProviderError
from antiphon.api.core.v1.event_pb2 import Event, PartDelta
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.health.v1 import health_service_pb2 as health_api
from antiphon.errors import ProviderFailure, Reason
from antiphon.http import body as body_module
from tests.support.leaks import resident_bytes, start_loop_threads
from tests.support.scripted import ALL_CAPABILITIES, SCRIPTED, ScriptedModel, scripted_kinds, text_events
from tests.support.second_port import (
    CONNECT_JSON,
    FORMS,
    GRPC_WEB,
    Answer,
    SecondPort,
    envelope,
    read_answer,
)
from tests.support.serving import COMPLETION, Failure, ServerUnderTest, failure, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIMIT_BYTES = 2**20
SPEC = CompletionSpec(model="default", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])
BODY = pb.CompleteRequest(spec=SPEC).SerializeToString()
JSON_BODY = b'{"spec":{"model":"default","messages":[{"role":"ROLE_USER","parts":[{"text":"Hi"}]}]}}'
COMPLETE, STREAM = f"{COMPLETION}/Complete", f"{COMPLETION}/StreamComplete"
WATCH = "/antiphon.api.health.v1.HealthService/WatchHealth"
INVALID, TOO_MUCH = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
UNDECODABLE = "UNDECODABLE_REQUEST"


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    await start_loop_threads()
    settings = {
        **SCRIPTED,
        "server": {"max_request_bytes": LIMIT_BYTES},
        "limits": {"slow_reader_s": 1},
    }
    async with serving(tmp_path_factory.mktemp("second_port"), settings, scripted_kinds(model)) as running:
        await running.channel.channel_ready()
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncGenerator[aiohttp.ClientSession, None]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, skip_auto_headers=("Accept-Encoding",), auto_decompress=False) as opened_:
        yield opened_


@pytest.fixture(autouse=True)
def plain(model: ScriptedModel) -> None:
    model.asked.clear()
    model.capabilities = ALL_CAPABILITIES
    model.script = text_events("Hel", "lo")


async def post(  # noqa: PLR0917  # a request's parts, in their order
    session: aiohttp.ClientSession, server: ServerUnderTest, path: str, body: Any, headers: dict[str, str], method: str = "POST"
) -> Answer:
    async with session.request(method, server.http_url + path, data=body, headers=headers) as response:
        received = await response.read()
        return read_answer(response.status, {key.lower(): value for key, value in response.headers.items()}, received)


def told(answer: Answer) -> Failure:
    return failure(answer.code, answer.status.message, answer.status)


async def settled(server: ServerUnderTest, model: ScriptedModel) -> None:
    async with asyncio.timeout(10):
        while model.open_streams or len(server.application.rpc._calls):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("form", FORMS)
async def test_a_unary_call_and_a_stream_go_well(server: ServerUnderTest, session: aiohttp.ClientSession, form: str) -> None:
    port = SecondPort(session, server.http_url, form)
    answer = await port.call(COMPLETE, pb.CompleteRequest(spec=SPEC))
    assert (grpc.StatusCode.OK, 200, 1) == (answer.code, answer.http_status, len(answer.messages))
    assert b"Hello" in answer.messages[0]
    answer = await port.call(STREAM, pb.StreamCompleteRequest(spec=SPEC))
    assert (grpc.StatusCode.OK, 200) == (answer.code, answer.http_status)
    assert (
        b"completed" in answer.messages[-1]
        if form == CONNECT_JSON
        else pb.StreamCompleteResponse.FromString(answer.messages[-1]).event.HasField("completed")
    )


async def test_json_is_written_as_connects_clients_read_it(server: ServerUnderTest, session: aiohttp.ClientSession) -> None:
    answer = await SecondPort(session, server.http_url, CONNECT_JSON).call(COMPLETE, JSON_BODY)
    completion = json.loads(answer.messages[0])["completion"]
    assert "FINISH_REASON_STOP" == completion["finishReason"]
    assert {"inputTokens": "3", "outputTokens": "2"} == completion["usage"]
    assert "application/json" == answer.headers["content-type"]


async def test_grpc_web_in_text_is_base64_both_ways(server: ServerUnderTest, session: aiohttp.ClientSession) -> None:
    headers = {"content-type": "application/grpc-web-text"}
    answer = await post(session, server, STREAM, base64.b64encode(envelope(BODY)), headers)
    assert "application/grpc-web-text+proto" == answer.headers["content-type"]
    assert pb.StreamCompleteResponse.FromString(answer.messages[-1]).event.HasField("completed")
    refused = told(await post(session, server, STREAM, b"%%%%", headers))
    assert (INVALID, UNDECODABLE) == (refused.code, refused.reason)


@pytest.mark.parametrize("method", [COMPLETE, STREAM])
@pytest.mark.parametrize("form", FORMS)
async def test_every_detail_of_an_error_arrives(
    server: ServerUnderTest, session: aiohttp.ClientSession, model: ScriptedModel, form: str, method: str
) -> None:
    said = ProviderError(provider="acme", model="m", http_status=429, code="slow_down", request_id="r-1")
    throttled = ProviderFailure(
        Reason.ERROR_REASON_PROVIDER_RATE_LIMITED, "zu schnell: 50 %", metadata={"a": "ä"}, retry_after_s=1.5, provider_error=said
    )
    model.script = [*text_events("a")[:2], throttled]
    request = pb.StreamCompleteRequest(spec=SPEC) if method == STREAM else pb.CompleteRequest(spec=SPEC)
    answer = await SecondPort(session, server.http_url, form).call(method, request)
    found = told(answer)
    assert (TOO_MUCH, "PROVIDER_RATE_LIMITED", "zu schnell: 50 %") == (found.code, found.reason, found.message)
    assert (1.5, said, {"a": "ä"}) == (found.retry_after_s, found.provider_error, found.metadata)
    assert (429 if method == COMPLETE and form != GRPC_WEB else 200) == answer.http_status
    assert (2 if method == STREAM else 0) <= len(answer.messages)


def headers(kind: str, **more: str) -> dict[str, str]:
    return {"content-type": kind, **{name.replace("_", "-"): value for name, value in more.items()}}


CONNECT_STREAM, WEB, PROTO, JSON = "application/connect+proto", "application/grpc-web+proto", "application/proto", "application/json"
BOMB = gzip.compress(b"\x0a" * (64 * 2**20), 9)
BAD_BODIES: dict[str, tuple[str, bytes, dict[str, str], tuple[grpc.StatusCode, str]]] = {
    # Envelopes.
    "no envelope": (STREAM, b"", headers(CONNECT_STREAM), (INVALID, UNDECODABLE)),
    "half an envelope's head": (STREAM, b"\x00\x00", headers(CONNECT_STREAM), (INVALID, UNDECODABLE)),
    "an envelope that is cut off": (STREAM, envelope(BODY)[:-1], headers(CONNECT_STREAM), (INVALID, UNDECODABLE)),
    "an envelope that says too much": (STREAM, b"\x00\x00\x00\xff\xff" + BODY, headers(CONNECT_STREAM), (INVALID, UNDECODABLE)),
    "an envelope beyond the limit": (STREAM, b"\x00\xff\xff\xff\xff" + BODY, headers(CONNECT_STREAM), (TOO_MUCH, "REQUEST_TOO_LARGE")),
    "two messages": (STREAM, envelope(BODY) * 2, headers(CONNECT_STREAM), (INVALID, UNDECODABLE)),
    "an end of stream": (STREAM, envelope(b"{}", 2), headers(CONNECT_STREAM), (INVALID, UNDECODABLE)),
    "flags that nobody knows": (STREAM, envelope(BODY, 0xF0), headers(CONNECT_STREAM), (INVALID, UNDECODABLE)),
    "a compressed message that no head announces": (
        STREAM,
        envelope(gzip.compress(BODY), 1),
        headers(CONNECT_STREAM),
        (INVALID, UNDECODABLE),
    ),
    "trailers for a message": (COMPLETE, envelope(b"grpc-status: 0", 0x80), headers(WEB), (INVALID, UNDECODABLE)),
    "no envelope in gRPC-Web": (COMPLETE, BODY, headers(WEB), (INVALID, UNDECODABLE)),
    "text where bytes were promised": (COMPLETE, base64.b64encode(envelope(BODY)), headers(WEB), (INVALID, UNDECODABLE)),
    # Compression.
    "gzip that is none": (COMPLETE, BODY, headers(PROTO, content_encoding="gzip"), (INVALID, UNDECODABLE)),
    "gzip that is cut off": (COMPLETE, gzip.compress(BODY)[:-6], headers(PROTO, content_encoding="gzip"), (INVALID, UNDECODABLE)),
    "gzip and more": (COMPLETE, gzip.compress(BODY) + b"x", headers(PROTO, content_encoding="gzip"), (INVALID, UNDECODABLE)),
    "deflate for gzip": (COMPLETE, zlib.compress(BODY), headers(PROTO, content_encoding="gzip"), (INVALID, UNDECODABLE)),
    "a compression that nobody knows": (COMPLETE, BODY, headers(PROTO, content_encoding="br"), (INVALID, UNDECODABLE)),
    "a compressed envelope all in all": (
        STREAM,
        gzip.compress(envelope(BODY)),
        headers(CONNECT_STREAM, content_encoding="gzip"),
        (INVALID, UNDECODABLE),
    ),
    "a compression of gRPC's that nobody knows": (COMPLETE, envelope(BODY), headers(WEB, grpc_encoding="snappy"), (INVALID, UNDECODABLE)),
    "a bomb": (COMPLETE, BOMB, headers(PROTO, content_encoding="gzip"), (TOO_MUCH, "REQUEST_TOO_LARGE")),
    "a bomb in JSON": (COMPLETE, BOMB, headers(JSON, content_encoding="gzip"), (TOO_MUCH, "REQUEST_TOO_LARGE")),
    "a bomb in an envelope": (
        STREAM,
        envelope(BOMB, 1),
        headers(CONNECT_STREAM, connect_content_encoding="gzip"),
        (TOO_MUCH, "REQUEST_TOO_LARGE"),
    ),
    "a bomb in gRPC-Web": (COMPLETE, envelope(BOMB, 1), headers(WEB, grpc_encoding="gzip"), (TOO_MUCH, "REQUEST_TOO_LARGE")),
    # Heads.
    "a version of Connect to come": (COMPLETE, BODY, headers(PROTO, connect_protocol_version="2"), (INVALID, UNDECODABLE)),
    "a timeout in words": (COMPLETE, BODY, headers(PROTO, connect_timeout_ms="soon"), (INVALID, UNDECODABLE)),
    "a negative timeout": (COMPLETE, BODY, headers(PROTO, connect_timeout_ms="-1"), (INVALID, UNDECODABLE)),
    "a timeout in Arabic digits": (COMPLETE, BODY, headers(PROTO, connect_timeout_ms="1_0"), (INVALID, UNDECODABLE)),
    "an endless timeout": (COMPLETE, BODY, headers(PROTO, connect_timeout_ms="9" * 11), (INVALID, UNDECODABLE)),
    "an endless timeout of gRPC's": (COMPLETE, envelope(BODY), headers(WEB, grpc_timeout="999999999S"), (INVALID, UNDECODABLE)),
    "a timeout without its unit": (COMPLETE, envelope(BODY), headers(WEB, grpc_timeout="10"), (INVALID, UNDECODABLE)),
    "no time": (COMPLETE, BODY, headers(PROTO, connect_timeout_ms="0"), (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_ALREADY_PAST")),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_what_is_no_request_is_refused(
    server: ServerUnderTest, session: aiohttp.ClientSession, model: ScriptedModel, name: str
) -> None:
    path, body, sent, expected = BAD_BODIES[name]
    memory = resident_bytes()
    found = told(await post(session, server, path, body, sent))
    assert expected == (found.code, found.reason), found.message
    assert "" != found.message
    assert [] == model.asked
    assert resident_bytes() - memory < 48 * 2**20


@pytest.mark.parametrize(
    ("path", "sent", "known"),
    [
        (COMPLETE, {}, True),
        (COMPLETE, headers("text/plain"), True),
        (COMPLETE, headers("application/x-www-form-urlencoded"), True),
        (COMPLETE, headers("multipart/form-data; boundary=x"), True),
        (COMPLETE, headers("application/grpc"), True),
        (COMPLETE, headers("application/grpc+proto"), True),
        (COMPLETE, headers("application/xml"), True),
        (COMPLETE, headers("application/json, application/proto"), True),
        (COMPLETE, headers(CONNECT_STREAM), True),
        (STREAM, headers(JSON), True),
        (STREAM, headers(PROTO), True),
        (f"{COMPLETION}/Nothing", headers("text/plain"), False),
        (f"{COMPLETION}/Nothing", headers(JSON), False),
        ("/antiphon.api.nobody.v1.Service/Knows", headers(PROTO), False),
        ("/nobody", headers(JSON), False),
    ],
)
async def test_a_content_type_that_is_not_taken_is_told_in_json(
    server: ServerUnderTest, session: aiohttp.ClientSession, path: str, sent: dict[str, str], known: bool
) -> None:
    skipped = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), skip_auto_headers=("Content-Type",))
    async with skipped:
        answer = await post(skipped, server, path, BODY, sent)
    expected = (415, INVALID, UNDECODABLE) if known else (404, grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND")
    assert expected == (answer.http_status, answer.code, told(answer).reason)
    assert "application/json" == answer.headers["content-type"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [COMPLETE, "/antiphon.api.model.v1.ModelService/ListModels"])
async def test_methods_are_called_by_post_alone(
    server: ServerUnderTest, session: aiohttp.ClientSession, model: ScriptedModel, path: str, method: str
) -> None:
    query = "?encoding=json&message=%7B%7D" if method == "GET" else ""
    answer = await post(session, server, path + query, b"", headers(JSON), method)
    assert (405, "POST", "METHOD_NOT_FOUND") == (answer.http_status, answer.headers["allow"], told(answer).reason)
    assert [] == model.asked


@pytest.mark.parametrize(
    "sent", [headers(JSON + "; charset=utf-8"), headers("Application/JSON"), headers(JSON, content_encoding="identity")]
)
async def test_what_is_written_otherwise_and_means_the_same_is_taken(
    server: ServerUnderTest, session: aiohttp.ClientSession, sent: dict[str, str]
) -> None:
    assert grpc.StatusCode.OK == (await post(session, server, COMPLETE, JSON_BODY, sent)).code


async def test_compressed_requests_are_taken(server: ServerUnderTest, session: aiohttp.ClientSession) -> None:
    for path, body, sent in (
        (COMPLETE, gzip.compress(BODY), headers(PROTO, content_encoding="gzip")),
        (COMPLETE, gzip.compress(JSON_BODY), headers(JSON, content_encoding="gzip")),
        (STREAM, envelope(gzip.compress(BODY), 1), headers(CONNECT_STREAM, connect_content_encoding="gzip")),
        (STREAM, envelope(BODY), headers(CONNECT_STREAM, connect_content_encoding="gzip")),
        (COMPLETE, envelope(gzip.compress(BODY), 1), headers(WEB, grpc_encoding="gzip")),
    ):
        assert grpc.StatusCode.OK == (await post(session, server, path, body, sent)).code


class Raw:
    """A connection whose bytes are in the test's hands."""

    def __init__(self, server: ServerUnderTest) -> None:
        self._port = server.application.http.port

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def begin(self, path: str, kind: str, body: bytes, length: int | None = None, *more: str) -> None:
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Type: {kind}", f"Content-Length: {length or len(body)}", *more]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + body)


async def test_a_body_is_refused_while_it_comes(server: ServerUnderTest) -> None:
    async with Raw(server) as raw:
        raw.writer.write(
            f"POST {COMPLETE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PROTO}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
        for _ in range(17):
            raw.writer.write(chunk)
        assert b" 429 " in await asyncio.wait_for(raw.reader.readline(), 10)


async def test_a_body_that_its_head_says_is_too_large_is_not_waited_for(server: ServerUnderTest) -> None:
    async with Raw(server) as raw:
        raw.begin(COMPLETE, PROTO, b"", 2**40, "Expect: 100-continue")
        assert b"HTTP/1.1 429 " in await asyncio.wait_for(raw.reader.readline(), 10)


async def test_a_body_that_does_not_come_is_not_waited_for_without_end(server: ServerUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module.Body, "timeout_s", 0.2)
    async with Raw(server) as raw:
        raw.begin(COMPLETE, PROTO, b"\x0a", 100)
        answer = await asyncio.wait_for(raw.reader.readuntil(b"}}]}"), 10)
    assert b" 504 " in answer
    assert b"did not arrive within 0.2 s" in answer
    assert 60 == body_module.RECEIVE_TIMEOUT_S


@pytest.mark.parametrize("left_at", ["the body", "the answer", "mid-stream"])
async def test_a_client_that_leaves_ends_the_call(server: ServerUnderTest, model: ScriptedModel, left_at: str) -> None:
    model.script = [*text_events("a")[: 2 if left_at == "mid-stream" else 0], lambda: asyncio.sleep(60)]
    async with Raw(server) as raw:
        if left_at == "mid-stream":
            raw.begin(STREAM, CONNECT_STREAM, envelope(BODY))
            await raw.reader.readuntil(b"scripted/alpha")
        else:
            raw.begin(COMPLETE, PROTO, BODY[: 3 if left_at == "the body" else None], len(BODY))
            await asyncio.sleep(0.1)
        assert (0 if left_at == "the body" else 1) == model.open_streams
        assert 1 == len(server.application.rpc._calls)
    await settled(server, model)


@pytest.mark.parametrize("form", FORMS)
async def test_a_deadline_ends_what_watches_no_deadline_itself(server: ServerUnderTest, session: aiohttp.ClientSession, form: str) -> None:
    answer = await SecondPort(session, server.http_url, form).call(WATCH, health_api.WatchHealthRequest(), timeout_s=0.3)
    found = told(answer)
    assert (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 1) == (found.code, found.reason, len(answer.messages))


@pytest.mark.parametrize("form", FORMS)
async def test_a_deadline_reaches_the_provider(
    server: ServerUnderTest, session: aiohttp.ClientSession, model: ScriptedModel, form: str
) -> None:
    model.script = [lambda: asyncio.sleep(60)]
    found = told(await SecondPort(session, server.http_url, form).call(COMPLETE, pb.CompleteRequest(spec=SPEC), timeout_s=0.5))
    assert (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") == (found.code, found.reason)
    await settled(server, model)


async def evicted(server: ServerUnderTest) -> float:
    lines = (await server.application.metrics.text()).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("antiphon_calls_total") and "SLOW_READER" in line)


@pytest.mark.parametrize("kind", [CONNECT_STREAM, WEB])
async def test_a_reader_that_stays_away_is_cut_off_and_costs_little(server: ServerUnderTest, model: ScriptedModel, kind: str) -> None:
    # Sixty megabytes, were they buffered.
    model.script = [*text_events("a")[:2], *[[Event(part_delta=PartDelta(text="x" * 20_000))] for _ in range(3000)], *text_events("b")[1:]]
    memory = resident_bytes()
    before = await evicted(server)
    async with Raw(server) as raw:
        raw.begin(STREAM, kind, envelope(BODY))
        async with asyncio.timeout(5):
            while not model.open_streams:
                await asyncio.sleep(0.01)
        await settled(server, model)
        assert before + 1 == await evicted(server)
        assert resident_bytes() - memory < 40 * 2**20
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await raw.reader.readexactly(100 * 2**20)


async def test_requests_follow_one_another_on_one_connection(server: ServerUnderTest) -> None:
    async with Raw(server) as raw:
        for _ in range(3):
            raw.begin(COMPLETE, JSON, JSON_BODY)
            assert b"HTTP/1.1 200 OK\r\n" == await raw.reader.readline()
            await raw.reader.readuntil(b"}}}")


async def test_a_head_that_is_too_long_is_refused(server: ServerUnderTest) -> None:
    async with Raw(server) as raw:
        raw.begin(COMPLETE, JSON, JSON_BODY, None, *(f"X-{number}: {'v' * 1000}" for number in range(60)))
        assert b" 431 " in await raw.reader.readline()
        assert b"REQUEST_TOO_LARGE" in await raw.reader.readuntil(b"}}]}")


async def test_a_call_that_the_drain_ends_is_told_so_and_its_connection_closed(tmp_path: Any, model: ScriptedModel) -> None:
    own = ScriptedModel(script=[*text_events("a")[:2], lambda: asyncio.sleep(60)])
    settings = {
        **SCRIPTED,
        "server": {"drain_grace_s": 0.5},
    }
    async with serving(tmp_path, settings, scripted_kinds(own)) as running, Raw(running) as first, Raw(running) as late:
        first.begin(STREAM, CONNECT_STREAM, envelope(BODY))
        await first.reader.readuntil(b"scripted/alpha")
        late.writer.write(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await late.reader.readuntil(b"ready\n")
        closing = asyncio.create_task(running.application.close())
        await asyncio.sleep(0.2)
        late.begin(COMPLETE, JSON, JSON_BODY)
        refused = await asyncio.wait_for(late.reader.read(), 5)
        ended = await asyncio.wait_for(first.reader.read(), 5)
        await closing
    assert b" 503 " in refused.partition(b"\r\n")[0]
    assert b"SERVER_DRAINING" in refused
    assert b"connection: close" in refused
    assert b"SERVER_DRAINING" in ended
