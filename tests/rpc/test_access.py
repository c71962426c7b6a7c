"""Every call leaves one line in the log and one count in the metrics, and both say what its caller was told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.identity.api_keys import id_of, new_key, written_hash
from tests.support.raw_http2 import DATA, END_STREAM, HEADERS, RawConnection, frame
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds, text_events
from tests.support.serving import COMPLETION, ServerUnderTest, failure_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

GRACE_S = 0.4
SPEC = CompletionSpec(model="default", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])
COMPLETE = pb.CompleteRequest(spec=SPEC).SerializeToString()
# A message's frame: not compressed, its length, its bytes.
FRAMED = b"\x00" + len(COMPLETE).to_bytes(4, "big") + COMPLETE


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def server(tmp_path: Path, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    settings = {
        **SCRIPTED,
        "server": {"drain_grace_s": GRACE_S},
        "log": {"access": True},
    }
    async with serving(tmp_path, settings, scripted_kinds(model)) as running:
        yield running


async def counted(server: ServerUnderTest) -> dict[tuple[str, str, str], float]:
    """Returns the calls that ended, by method, code and reason."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.http_url}/metrics") as response:
        text = await response.text()
    return {
        (sample.labels["method"], sample.labels["code"], sample.labels["reason"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "antiphon_calls_total"
    }


def lines(log_entries: list[Any]) -> list[dict[str, Any]]:
    return [entry for entry in log_entries if entry["event"] == "call"]


def outcome(line: dict[str, Any]) -> tuple[str, str, str]:
    return (line["method"], line["code"], line["reason"])


UNKNOWN = ("unknown", "UNIMPLEMENTED", "METHOD_NOT_FOUND")


async def test_a_method_that_is_not_there_is_counted_and_logged_with_its_name(server: ServerUnderTest, log_entries: list[Any]) -> None:
    await server.refused("/nobody.Service/Knows", b"\xff")
    await server.complete(pb.CompleteRequest(spec=SPEC))
    refused, answered = lines(log_entries)
    assert (UNKNOWN, "/nobody.Service/Knows", 0) == (outcome(refused), refused["called"], refused["messages"])
    assert 2 == len({refused["call_id"], answered["call_id"]})
    assert {UNKNOWN: 1, (f"{COMPLETION}/Complete", "OK", ""): 1} == await counted(server)


async def test_names_that_callers_invent_share_one_label(server: ServerUnderTest) -> None:
    for number in range(20):
        await server.refused(f"/nobody.Service/Knows{number}", b"")
    assert {UNKNOWN: 20} == await counted(server)


async def test_a_name_in_the_log_is_cut(server: ServerUnderTest, log_entries: list[Any]) -> None:
    await server.refused("/" + "x" * 4000, b"")
    assert ["/" + "x" * 255] == [line["called"] for line in lines(log_entries)]


async def ended(server: ServerUnderTest) -> None:
    """Ends the serving of calls as a shutdown does, and leaves the other port open."""
    await asyncio.wait_for(server.application.rpc.drain(), 20)


async def late_call(server: ServerUnderTest, method: str) -> bytes:
    """Makes a call that comes once the server drains and before its clients know; returns how it ended."""
    server.application.rpc._calls.draining = True
    async with RawConnection(server.target) as connection:
        stream = connection.call(method, None, ends=False)
        connection.send(frame(DATA, FRAMED, END_STREAM, stream))
        trailers = await connection.until(HEADERS, stream, ended=True)
    await ended(server)
    return trailers.payload


@pytest.mark.parametrize("method", [f"{COMPLETION}/Complete", f"{COMPLETION}/StreamComplete"])
async def test_a_call_that_comes_while_the_server_drains_is_counted_and_logged(
    server: ServerUnderTest, model: ScriptedModel, log_entries: list[Any], method: str
) -> None:
    told = await late_call(server, method)
    assert b"SERVER_DRAINING" in told
    refused = (method, "UNAVAILABLE", "SERVER_DRAINING")
    assert [refused] == [outcome(line) for line in lines(log_entries)]
    assert {refused: 1} == await counted(server)
    assert [] == model.asked


async def test_a_newer_replicas_method_is_told_that_this_one_drains(server: ServerUnderTest, log_entries: list[Any]) -> None:
    told = await late_call(server, "/nobody.Service/Knows")
    assert b"SERVER_DRAINING" in told
    [line] = lines(log_entries)
    assert (("unknown", "UNAVAILABLE", "SERVER_DRAINING"), "/nobody.Service/Knows") == (outcome(line), line["called"])


async def streamed(server: ServerUnderTest) -> None:
    call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=SPEC), pb.StreamCompleteResponse)
    async for _ in call:
        pass


async def answered(server: ServerUnderTest) -> None:
    await server.complete(pb.CompleteRequest(spec=SPEC))


@pytest.mark.parametrize(("method", "make"), [("Complete", answered), ("StreamComplete", streamed)])
async def test_a_call_that_the_drain_ended_is_counted_and_logged_as_its_caller_was_told(
    server: ServerUnderTest,
    model: ScriptedModel,
    log_entries: list[Any],
    method: str,
    make: Callable[[ServerUnderTest], Awaitable[None]],
) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(60)]
    calling = asyncio.ensure_future(make(server))
    async with asyncio.timeout(5):
        while not model.open_streams:
            await asyncio.sleep(0.01)
    await ended(server)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await calling
    failure = failure_of(caught.value)
    told = (f"{COMPLETION}/{method}", failure.code.name, failure.reason)
    assert (f"{COMPLETION}/{method}", "UNAVAILABLE", "SERVER_DRAINING") == told
    assert [told] == [outcome(line) for line in lines(log_entries)]
    assert {told: 1} == await counted(server)


async def test_a_call_that_its_caller_left_is_counted_and_logged_as_cancelled_while_the_server_drains_too(
    server: ServerUnderTest, model: ScriptedModel, log_entries: list[Any]
) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(60)]
    call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=SPEC), pb.StreamCompleteResponse)
    await call.read()
    draining = asyncio.create_task(ended(server))
    await asyncio.sleep(0.05)
    call.cancel()
    await draining
    left = (f"{COMPLETION}/StreamComplete", "CANCELLED", "CANCELLED")
    assert [left] == [outcome(line) for line in lines(log_entries)]
    assert {left: 1} == await counted(server)


@pytest.mark.parametrize("timeout_s", [0.05, 0.3])
@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_a_call_that_ran_out_of_time_is_no_cancelled_one(
    server: ServerUnderTest, model: ScriptedModel, log_entries: list[Any], method: str, timeout_s: float
) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(60)]
    # The same bytes for both.
    failure = await server.refused(f"{COMPLETION}/{method}", COMPLETE, timeout_s=timeout_s)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == failure.code
    async with asyncio.timeout(5):
        while not lines(log_entries) or model.open_streams:
            await asyncio.sleep(0.01)
    late = (f"{COMPLETION}/{method}", "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    assert [late] == [outcome(line) for line in lines(log_entries)]
    assert {late: 1} == await counted(server)


@pytest.mark.parametrize(
    ("sent", "logged"),
    [("req-7", "req-7"), ("x" * 500, "x" * 256), ("", "")],
)
async def test_the_callers_own_name_of_a_call_is_logged_plain_and_short(
    server: ServerUnderTest, log_entries: list[Any], sent: str, logged: str
) -> None:
    call = pb.CompleteRequest(spec=SPEC).SerializeToString()
    await server.raw(f"{COMPLETION}/Complete", call, [("x-request-id", sent)])
    assert [logged] == [line["request_id"] for line in lines(log_entries)]


async def test_the_line_of_the_local_owner_names_nobody(server: ServerUnderTest, log_entries: list[Any]) -> None:
    await server.complete(pb.CompleteRequest(spec=SPEC))
    [line] = lines(log_entries)
    assert set() == {"principal", "tenant", "credential", "request_id"} & set(line)


async def test_the_line_of_a_known_caller_names_principal_and_tenant_and_never_the_key(tmp_path: Path, log_entries: list[Any]) -> None:
    key = new_key()
    entry = {"id": id_of(key), "hash": written_hash(key), "principal": "ada", "tenant": "engines"}
    settings = {
        **SCRIPTED,
        "auth": {"keys": [entry]},
        "log": {"access": True},
    }
    async with serving(tmp_path, settings, scripted_kinds(ScriptedModel())) as running:
        await running.raw(f"{COMPLETION}/Complete", COMPLETE, [("authorization", f"Bearer {key}")])
        await running.refused(f"{COMPLETION}/Complete", COMPLETE)
    known, unknown = lines(log_entries)
    assert ("ada", "engines", f"key:{id_of(key)}") == (known["principal"], known["tenant"], known["credential"])
    assert "principal" not in unknown
    assert key not in str(log_entries)


@pytest.mark.parametrize("method", [f"{COMPLETION}/Complete", f"{COMPLETION}/StreamComplete", "/nobody.Service/Knows"])
async def test_a_call_that_failed_names_itself_to_its_caller(server: ServerUnderTest, log_entries: list[Any], method: str) -> None:
    call = cast("Any", server.channel).unary_stream(method)(b"\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    [line] = lines(log_entries)
    assert line["call_id"] == dict(caught.value.trailing_metadata() or ())["x-call-id"]


async def test_a_call_that_went_well_has_no_trailers(server: ServerUnderTest) -> None:
    call = cast("Any", server.channel).unary_unary(f"{COMPLETION}/Complete")(COMPLETE)
    await call
    assert () == tuple(await call.trailing_metadata())
