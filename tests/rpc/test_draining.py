"""A server that drains finishes what it began, says that it goes, ends the rest with a typed status, and is gone in time whatever its clients do."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.event_pb2 import Event, PartDelta
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.health.v1 import health_service_pb2 as health_api
from antiphon.rpc import server as server_module
from tests.support.raw_http2 import HEADERS, RawConnection, frame, hpack
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds, text_events
from tests.support.serving import COMPLETION, ServerUnderTest, failure_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
# What a drain may take beside its grace: the second port looks at its own flag every 0.1 s.
ROOM_S = 1.5
GRACE_S = 0.6
# How long the runtime then waits for calls to take their status; shortened here.
ENDING_S = 0.4
SPEC = CompletionSpec(model="default", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])
COMPLETE = pb.CompleteRequest(spec=SPEC).SerializeToString()
ANY_HEALTH = health_pb2.HealthCheckRequest().SerializeToString()


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def server(tmp_path: Path, model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[ServerUnderTest, None]:
    monkeypatch.setattr(server_module, "_ENDING_S", ENDING_S)
    settings = {
        **SCRIPTED,
        "server": {"drain_grace_s": GRACE_S},
    }
    async with serving(tmp_path, settings, scripted_kinds(model)) as running:
        yield running


async def drained_in_s(server: ServerUnderTest) -> float:
    begun_s = time.monotonic()
    await asyncio.wait_for(server.application.close(), 20)
    return time.monotonic() - begun_s


def watch(server: ServerUnderTest) -> Any:
    """Opens a standard health watch."""
    opened = cast("Any", server.channel).unary_stream(
        WATCH,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return opened(health_pb2.HealthCheckRequest(), timeout=20)


async def test_nothing_in_progress_is_nothing_to_wait_for(server: ServerUnderTest) -> None:
    await server.channel.channel_ready()
    assert await drained_in_s(server) < GRACE_S


async def test_a_standard_watcher_is_told_and_does_not_hold_the_shutdown(server: ServerUnderTest) -> None:
    watching = watch(server)
    assert health_pb2.HealthCheckResponse.SERVING == (await watching.read()).status
    assert await drained_in_s(server) < GRACE_S
    assert health_pb2.HealthCheckResponse.NOT_SERVING == (await watching.read()).status
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watching.read()
    assert (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING") == (caught.value.code(), failure_of(caught.value).reason)


async def test_a_watcher_of_ours_is_told_and_its_stream_ends(server: ServerUnderTest) -> None:
    request = health_api.WatchHealthRequest(interval={"seconds": 3600})
    watching = server.stream("/antiphon.api.health.v1.HealthService/WatchHealth", request, health_api.WatchHealthResponse)
    assert health_api.HealthStatus.HEALTH_STATUS_SERVING == (await watching.read()).report.status
    assert await drained_in_s(server) < GRACE_S
    assert health_api.HealthStatus.HEALTH_STATUS_NOT_SERVING == (await watching.read()).report.status
    assert grpc.aio.EOF is await watching.read()


async def test_a_call_that_outlasts_the_grace_ends_with_a_typed_status(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(60)]
    call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=SPEC), pb.StreamCompleteResponse)
    for _ in range(3):
        await call.read()
    taken_s = await drained_in_s(server)
    assert GRACE_S - 0.1 < taken_s < GRACE_S + ROOM_S
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    failure = failure_of(caught.value)
    assert (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING") == (failure.code, failure.reason)
    assert failure.retry_after_s is not None
    assert 0 == model.open_streams


async def test_a_caller_that_cancels_while_the_server_drains_is_just_cancelled(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(60)]
    call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=SPEC), pb.StreamCompleteResponse)
    await call.read()
    closing = asyncio.create_task(drained_in_s(server))
    await asyncio.sleep(0.05)
    call.cancel()
    assert await closing < GRACE_S
    assert (0, grpc.StatusCode.CANCELLED) == (model.open_streams, await call.code())


async def test_a_new_call_is_refused_or_moved(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(0.4), *text_events("b")[1:]]
    call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=SPEC), pb.StreamCompleteResponse)
    await call.read()
    closing = asyncio.create_task(drained_in_s(server))
    await asyncio.sleep(0.1)
    async with grpc.aio.insecure_channel(server.target) as other:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await cast("Any", other).unary_unary(f"{COMPLETION}/Complete")(COMPLETE, timeout=0.3)
    assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    kinds: list[str | None] = []
    while (response := await call.read()) is not grpc.aio.EOF:
        kinds.append(response.event.WhichOneof("payload"))
    assert ["part_started", "part_delta", "part_delta", "part_ended", "completed"] == kinds
    await closing
    assert 1 == len(model.asked)


async def test_draining_twice_is_draining_once(server: ServerUnderTest) -> None:
    await asyncio.gather(server.application.close(), server.application.close())
    await server.application.close()


MANY = [*text_events("a")[:2], *[[Event(part_delta=PartDelta(text="x" * 5000))] for _ in range(2000)], *text_events("b")[1:]]


@pytest.mark.parametrize("window", [0, 65_535])
@pytest.mark.parametrize(
    ("method", "body", "ends"),
    [
        (WATCH, ANY_HEALTH, True),
        (REFLECTION, b"\x3a\x00", False),
        ("/antiphon.api.health.v1.HealthService/WatchHealth", b"", True),
        (f"{COMPLETION}/StreamComplete", COMPLETE, True),
        (f"{COMPLETION}/Complete", COMPLETE, True),
        (f"{COMPLETION}/Complete", None, True),
        (f"{COMPLETION}/Complete", None, False),
    ],
    ids=["standard watch", "reflection", "watch", "stream", "unary", "no message", "open headers"],
)
async def test_a_client_that_reads_nothing_does_not_hold_the_shutdown(
    server: ServerUnderTest, model: ScriptedModel, method: str, body: bytes | None, *, ends: bool, window: int
) -> None:
    model.script = MANY
    async with RawConnection(server.target, window=window) as connection:
        connection.call(method, body, ends=ends)
        await asyncio.sleep(0.1)
        assert await drained_in_s(server) < GRACE_S + ENDING_S + ROOM_S
    assert (0, 0) == (model.open_streams, len(server.application.rpc._calls))


async def test_one_stuck_watcher_does_not_keep_the_others_from_being_told(server: ServerUnderTest) -> None:
    async with RawConnection(server.target, window=0) as connection:
        connection.call(WATCH, health_pb2.HealthCheckRequest(service="antiphon.api.model.v1.ModelService").SerializeToString())
        await asyncio.sleep(0.05)
        watching = watch(server)
        await watching.read()
        closing = asyncio.create_task(drained_in_s(server))
        assert health_pb2.HealthCheckResponse.NOT_SERVING == (await watching.read()).status
        await closing


async def test_half_open_connections_do_not_hold_the_shutdown(server: ServerUnderTest) -> None:
    async with RawConnection(server.target) as first, RawConnection(server.target) as second:
        first.send(frame(HEADERS, hpack([(":method", "POST")]), 0, 1))
        second.send(b"\x00\x00\x10")
        opened = [await asyncio.open_connection("127.0.0.1", port) for port in (server.application.rpc.port, server.application.http.port)]
        opened[1][1].write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        await asyncio.sleep(0.05)
        assert await drained_in_s(server) < GRACE_S + ENDING_S + ROOM_S
        for _, writer in opened:
            writer.close()


@pytest.mark.parametrize("timeout", ["1n", "1u"])
async def test_a_deadline_that_is_past_on_arrival_is_told_as_such(server: ServerUnderTest, model: ScriptedModel, timeout: str) -> None:
    async with RawConnection(server.target) as connection:
        stream = connection.call(f"{COMPLETION}/Complete", COMPLETE, [("grpc-timeout", timeout)])
        trailers = await connection.until(HEADERS, stream, ended=True)
    # The runtime may see it first, and then says so in its own words.
    assert b"DEADLINE_ALREADY_PAST" in trailers.payload or b"Deadline Exceeded" in trailers.payload
    assert [] == model.asked
