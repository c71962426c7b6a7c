"""A server keeps its limits towards its clients: calls at a time, readers that stay away, requests that never come, connections that are old or dead."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.event_pb2 import Event, PartDelta
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.health.v1 import health_service_pb2 as health_api
from antiphon.rpc import binding as binding_module
from bench.campaigns.raw_calls import Offer, open_loop
from tests.support.fault_proxy import FaultProxy
from tests.support.raw_http2 import DATA, GOAWAY, HEADERS, WINDOW_UPDATE, RawConnection, frame
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds, text_events
from tests.support.serving import COMPLETION, ServerUnderTest, failure_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

SPEC = CompletionSpec(model="default", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])
COMPLETE = pb.CompleteRequest(spec=SPEC)
STREAM = pb.StreamCompleteRequest(spec=SPEC).SerializeToString()
HEALTH = "/antiphon.api.health.v1.HealthService/CheckHealth"
STANDARD_HEALTH = "/grpc.health.v1.Health/Check"
LIMIT = 4
# More than any reader's window takes.
LONG = [*text_events("a")[:2], *[[Event(part_delta=PartDelta(text="x" * 10_000))]] * 100_000, *text_events("b")[1:]]


class Gate:
    """Holds answers back until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def __call__(self) -> None:
        await self.opened.wait()


@asynccontextmanager
async def limited(folder: Path, model: ScriptedModel, **sections: dict[str, Any]) -> AsyncGenerator[ServerUnderTest, None]:
    settings = {**SCRIPTED, **sections}
    async with serving(folder, settings, scripted_kinds(model)) as running:
        yield running


async def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def stream(server: ServerUnderTest) -> Any:
    return server.stream(f"{COMPLETION}/StreamComplete", STREAM, pb.StreamCompleteResponse)


async def test_calls_beyond_the_limit_are_refused_typed_and_health_is_not(tmp_path: Path) -> None:
    gate = Gate()
    model = ScriptedModel(script=[gate, *text_events("a")])
    async with limited(tmp_path, model, limits={"concurrent_calls": LIMIT}) as server:
        unary = [asyncio.create_task(server.complete(COMPLETE)) for _ in range(LIMIT // 2)]
        streams = [asyncio.create_task(server.events(pb.StreamCompleteRequest(spec=SPEC))) for _ in range(LIMIT // 2)]
        await until(lambda: model.open_streams == LIMIT)
        for method in ("Complete", "StreamComplete", "CountTokens"):
            failure = await server.refused(f"{COMPLETION}/{method}", b"\xff not even a request")
            assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS") == (failure.code, failure.reason)
            assert {"limit": str(LIMIT)} == failure.metadata
            assert failure.retry_after_s is not None
            assert 0.25 <= failure.retry_after_s <= 1
        report = await server.unary(HEALTH, health_api.CheckHealthRequest(), health_api.CheckHealthResponse)
        assert health_api.HealthStatus.HEALTH_STATUS_SERVING == report.report.status
        standard = await server.raw(STANDARD_HEALTH, b"")
        assert health_pb2.HealthCheckResponse.SERVING == health_pb2.HealthCheckResponse.FromString(standard).status
        assert LIMIT == len(model.asked)
        gate.opened.set()
        await asyncio.gather(*unary, *streams)
        await server.complete(COMPLETE)


async def test_standard_watches_have_a_bound_of_their_own(tmp_path: Path) -> None:
    async with limited(tmp_path, ScriptedModel(), limits={"concurrent_calls": 1}) as server:
        watches = [server.stream("/grpc.health.v1.Health/Watch", b"", health_pb2.HealthCheckResponse) for _ in range(10)]
        for watch in watches:
            assert health_pb2.HealthCheckResponse.SERVING == (await anext(aiter(watch))).status
        failure = await server.refused("/grpc.health.v1.Health/Watch", b"")
        assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS") == (failure.code, failure.reason)
        for watch in watches:
            watch.cancel()


async def test_a_call_is_refused_without_its_request_being_read(tmp_path: Path) -> None:
    gate = Gate()
    model = ScriptedModel(script=[gate, *text_events("a")])
    async with limited(tmp_path, model, limits={"concurrent_calls": 1}) as server, RawConnection(server.target) as connection:
        held = asyncio.create_task(server.complete(COMPLETE))
        await until(lambda: model.open_streams == 1)
        number = connection.call(f"{COMPLETION}/Complete", None, ends=False)
        trailers = await connection.until(HEADERS, number, ended=True)
        assert b"TOO_MANY_CALLS" in trailers.payload
        gate.opened.set()
        await held


async def test_five_times_the_calls_that_it_takes_leave_a_server_at_work(tmp_path: Path) -> None:
    most = 0

    async def working() -> None:
        nonlocal most
        most = max(most, model.open_streams)
        await asyncio.sleep(0.05)

    model = ScriptedModel(script=[working, *text_events("a")])
    async with limited(tmp_path, model, limits={"concurrent_calls": LIMIT}) as server:
        offer = Offer(server.target, f"{COMPLETION}/Complete", COMPLETE.SerializeToString())
        offering = asyncio.create_task(open_loop(offer, rate=5 * LIMIT / 0.05, lasts_s=1.5))
        seen = 0
        while not offering.done():
            await server.raw(STANDARD_HEALTH, b"")
            await server.unary(HEALTH, health_api.CheckHealthRequest(), health_api.CheckHealthResponse)
            seen += 1
            await asyncio.sleep(0.05)
        tally, _ = await offering
        assert LIMIT == most, "the places are used, and no more of them"
        assert min(tally.answered, tally.refused, seen) > 0
        await until(lambda: len(server.application.rpc._calls) == 0)
        await asyncio.gather(*(server.complete(COMPLETE) for _ in range(LIMIT)))


async def test_a_server_short_of_memory_refuses_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, resident = Gate(), 2**30
    model = ScriptedModel(script=[gate, *text_events("a")])
    monkeypatch.setattr("antiphon.calls.memory.resident_bytes", lambda: resident)
    monkeypatch.setattr("antiphon.calls.memory._LOOK_S", 0.02)
    async with limited(tmp_path, model, limits={"memory_bytes": 2**29}) as server:
        held = asyncio.create_task(server.complete(COMPLETE))
        await until(lambda: model.open_streams == 1)
        failure = await server.refused(f"{COMPLETION}/Complete", COMPLETE)
        assert (grpc.StatusCode.RESOURCE_EXHAUSTED, "SERVER_OVERLOADED") == (failure.code, failure.reason)
        assert failure.retry_after_s is not None
        resident = 2**28
        gate.opened.set()
        await held
        await asyncio.sleep(0.2)
        await asyncio.gather(*(server.complete(COMPLETE) for _ in range(3)))


async def test_a_reader_who_stays_away_ends_its_own_stream_and_learns_why(tmp_path: Path) -> None:
    model = ScriptedModel(script=LONG)
    async with limited(tmp_path, model, limits={"slow_reader_s": 0.5}) as server:
        call = stream(server)
        await until(lambda: model.open_streams == 1)
        # The provider is let go although nobody reads.
        await until(lambda: model.open_streams == 0)
        assert 0 == len(server.application.rpc._calls)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
        failure = failure_of(caught.value)
        assert (grpc.StatusCode.ABORTED, "SLOW_READER", {"timeout_ms": "500"}) == (failure.code, failure.reason, failure.metadata)
        model.script = text_events("a")
        await server.complete(COMPLETE)


@pytest.mark.parametrize("window", [0, 100, 65_535])
@pytest.mark.parametrize("then", ["reads", "leaves"])
async def test_whatever_a_stalled_reader_does_next_nothing_is_left(tmp_path: Path, window: int, then: str) -> None:
    model = ScriptedModel(script=LONG)
    async with limited(tmp_path, model, limits={"slow_reader_s": 0.2}) as server:
        await server.channel.channel_ready()
        tasks = len(asyncio.all_tasks())
        async with RawConnection(server.target, window=window) as connection:
            number = connection.call(f"{COMPLETION}/StreamComplete", STREAM)
            # With the least windows not even the first event passes, and the provider is never asked.
            await until(lambda: len(server.application.rpc._calls) == 1)
            await until(lambda: len(server.application.rpc._calls) + model.open_streams == 0)
            if then == "reads":
                more = struct.pack(">I", 2**20)
                connection.send(frame(WINDOW_UPDATE, more, 0, number) + frame(WINDOW_UPDATE, more))
                trailers = await connection.until(HEADERS, number, ended=True)
                assert b"SLOW_READER" in trailers.payload
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert 0 == len(server.application.rpc._calls)


async def test_a_reader_who_is_slow_and_reads_on_gets_everything(tmp_path: Path) -> None:
    model = ScriptedModel(script=[*LONG[:200], *text_events("b")[1:]])
    async with limited(tmp_path, model, limits={"slow_reader_s": 1}) as server:
        call, size = stream(server), 0
        async for response in call:
            size += len(response.event.part_delta.text)
            if response.event.sequence < 20:
                await asyncio.sleep(0.1)
        assert 198 * 10_000 + 2 == size


async def test_a_request_that_never_comes_whole_gives_its_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding_module, "_RECEIVE_TIMEOUT_S", 0.4)
    async with limited(tmp_path, ScriptedModel(), limits={"concurrent_calls": 1}) as server, RawConnection(server.target) as connection:
        number = connection.call(f"{COMPLETION}/Complete", None, ends=False)
        connection.send(frame(DATA, b"\x00\x00\x00\x10\x00half", 0, number))
        await until(lambda: len(server.application.rpc._calls) == 1)
        assert "TOO_MANY_CALLS" == (await server.refused(f"{COMPLETION}/Complete", COMPLETE)).reason
        trailers = await connection.until(HEADERS, number, ended=True)
        assert b"the request did not arrive within 0.4 s" in trailers.payload
        await server.complete(COMPLETE)


async def test_a_call_without_a_request_is_told(tmp_path: Path) -> None:
    async with limited(tmp_path, ScriptedModel()) as server, RawConnection(server.target) as connection:
        for method in ("Complete", "StreamComplete"):
            trailers = await connection.until(HEADERS, connection.call(f"{COMPLETION}/{method}", None), ended=True)
            assert b"UNDECODABLE_REQUEST" in trailers.payload


async def test_an_old_connection_is_left_without_a_failed_call(tmp_path: Path) -> None:
    model = ScriptedModel(script=[*text_events("a")[:2], lambda: asyncio.sleep(2.5), *text_events("b")[1:]])
    async with limited(tmp_path, model, server={"max_connection_age_s": 0.5, "max_connection_age_grace_s": 20}) as server:
        async with RawConnection(server.target) as watching:
            lasting = asyncio.create_task(server.events(pb.StreamCompleteRequest(spec=SPEC)))
            await until(lambda: model.open_streams == 1)
            await watching.until(GOAWAY)
        model.script = text_events("a")
        for _ in range(60):
            await server.complete(COMPLETE)
            await asyncio.sleep(0.02)
        # The stream began on a connection that is gone for new calls, and finishes there.
        assert (await lasting)[-1].HasField("completed")


async def test_a_peer_that_vanished_is_noticed_and_its_provider_let_go(tmp_path: Path) -> None:
    model = ScriptedModel(script=[*text_events("a")[:2], lambda: asyncio.sleep(60)])
    timing = {"keepalive_s": 1.0, "keepalive_timeout_s": 0.5}
    async with (
        limited(tmp_path, model, server=timing) as server,
        FaultProxy("127.0.0.1", server.application.rpc.port) as proxy,
        grpc.aio.insecure_channel(proxy.address) as channel,
    ):
        call = cast("Any", channel).unary_stream(f"{COMPLETION}/StreamComplete")(STREAM)
        await call.read()
        await until(lambda: model.open_streams == 1)
        proxy.stall()
        await until(lambda: model.open_streams == 0, timeout_s=20)
        proxy.resume()
        call.cancel()
