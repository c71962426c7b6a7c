"""A stream gives typed events, collects them into the answer that `create` would give, and ends its call whenever it is left."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from antiphon.api.completion.v1 import completion_service_pb2 as completion_pb
from antiphon.api.core.v1 import completion_pb2, event_pb2, message_pb2, usage_pb2
from antiphon_client import (
    AsyncClient,
    CallCancelledError,
    Client,
    Completed,
    FinishReason,
    InternalError,
    PartDelta,
    PartEnded,
    PartStarted,
    Started,
    UnavailableError,
    UnknownEvent,
    contract,
)
from tests.unit.client.fake_server import Failure, FakeServer, Hang, completed, events, text_part

PartKind = event_pb2.PartKind


def rich_answer() -> tuple[list[event_pb2.Event], completion_pb2.Completion]:
    """A stream with everything in it, parts and calls interleaved, and the completion that it is."""
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    usage = usage_pb2.Usage(input_tokens=9, output_tokens=8, reasoning_tokens=2)
    citation = message_pb2.Part(citation=message_pb2.Citation(uri="https://example.org/", title="Example", end_index=3))
    log_probability = completion_pb2.TokenLogProbability(token="a", log_probability=-0.5)
    first = event_pb2.Event(started=event_pb2.Started(completion_id="c1", model="local/tiny", ignored_parameters=["sampling.top_k"]))
    first.time.FromDatetime(now)
    sequence = [
        first,
        event_pb2.Event(part_started=event_pb2.PartStarted(index=0, kind=PartKind.PART_KIND_REASONING)),
        event_pb2.Event(part_delta=event_pb2.PartDelta(index=0, text="hm")),
        event_pb2.Event(part_started=event_pb2.PartStarted(index=1, kind=PartKind.PART_KIND_TEXT)),
        event_pb2.Event(part_delta=event_pb2.PartDelta(index=1, text="fine", log_probabilities=[log_probability])),
        event_pb2.Event(part_delta=event_pb2.PartDelta(index=0, text=" hm")),
        event_pb2.Event(part_ended=event_pb2.PartEnded(index=0, provider_state=b"signature")),
        event_pb2.Event(tool_call_started=event_pb2.ToolCallStarted(call_id="a", name="weather", index=2)),
        event_pb2.Event(tool_call_started=event_pb2.ToolCallStarted(call_id="b", name="clock", index=3)),
        event_pb2.Event(tool_call_arguments_delta=event_pb2.ToolCallArgumentsDelta(call_id="b", arguments="{}")),
        event_pb2.Event(tool_call_arguments_delta=event_pb2.ToolCallArgumentsDelta(call_id="a", arguments='{"city":')),
        event_pb2.Event(tool_call_arguments_delta=event_pb2.ToolCallArgumentsDelta(call_id="a", arguments='"Ghent"}')),
        event_pb2.Event(tool_call_ended=event_pb2.ToolCallEnded(call_id="a", provider_state=b"thought")),
        event_pb2.Event(tool_call_ended=event_pb2.ToolCallEnded(call_id="b")),
        event_pb2.Event(part_ended=event_pb2.PartEnded(index=1)),
        event_pb2.Event(part_started=event_pb2.PartStarted(index=4, kind=PartKind.PART_KIND_WHOLE, part=citation)),
        event_pb2.Event(part_ended=event_pb2.PartEnded(index=4)),
        event_pb2.Event(usage_reported=event_pb2.UsageReported(usage=usage)),
        event_pb2.Event(
            completed=event_pb2.Completed(
                finish_reason=completion_pb2.FinishReason.FINISH_REASON_TOOL_CALLS, provider_finish_reason="tool_use"
            )
        ),
    ]
    answer = completion_pb2.Completion(
        completion_id="c1",
        model="local/tiny",
        message=message_pb2.Message(
            role=message_pb2.Role.ROLE_ASSISTANT,
            parts=[
                message_pb2.Part(reasoning=message_pb2.Reasoning(text="hm hm"), provider_state=b"signature"),
                message_pb2.Part(text="fine"),
                message_pb2.Part(
                    tool_call=message_pb2.ToolCall(call_id="a", name="weather", arguments='{"city":"Ghent"}'), provider_state=b"thought"
                ),
                message_pb2.Part(tool_call=message_pb2.ToolCall(call_id="b", name="clock", arguments="{}")),
                citation,
            ],
        ),
        finish_reason=completion_pb2.FinishReason.FINISH_REASON_TOOL_CALLS,
        provider_finish_reason="tool_use",
        usage=usage,
        ignored_parameters=["sampling.top_k"],
        log_probabilities=[log_probability],
    )
    answer.create_time.FromDatetime(now)
    return sequence, answer


async def test_final_is_what_create_returns(server: FakeServer, client: AsyncClient, blocking: Client) -> None:
    sequence, answer = rich_answer()
    server.will("Complete", completion_pb.CompleteResponse(completion=answer))
    server.will("StreamComplete", events(*sequence)[1:], events(*sequence)[1:])
    created = await client.completions.create(model="m", messages="Hi")
    assert created == await client.completions.stream(model="m", messages="Hi").final()
    assert created == await asyncio.to_thread(blocking.completions.stream(model="m", messages="Hi").final)
    assert ("fine", "hm hm") == (created.text, created.reasoning)
    assert [("a", "weather"), ("b", "clock")] == [(call.call_id, call.name) for call in created.tool_calls]
    assert ["Example"] == [citation.title for citation in created.citations]


async def test_text_stream_gives_the_text_alone(server: FakeServer, client: AsyncClient) -> None:
    thought = text_part("let", "me", kind=PartKind.PART_KIND_REASONING)
    server.will("StreamComplete", events(*thought, *text_part("Hel", "", "lo", index=1), completed()))
    stream = client.completions.stream(model="m", messages="Hi")
    assert ["Hel", "lo"] == [piece async for piece in stream.text_stream()]
    assert "letme" == (await stream.final()).reasoning


def test_events_are_the_contracts_messages(blocking: Client) -> None:
    stream = blocking.completions.stream(model="m", messages="Hi")
    kinds = [type(event) for event in stream]
    assert [Started, PartStarted, PartDelta, PartDelta, PartEnded, Completed] == kinds
    assert stream.envelope is not None
    assert ("c1", 6) == (stream.envelope.stream_id, stream.envelope.sequence)


async def test_the_merge_window_reaches_the_server(server: FakeServer, client: AsyncClient) -> None:
    await client.completions.stream(model="m", messages="Hi", merge_window_s=0.25).final()
    assert timedelta(seconds=0.25) == server.requests("StreamComplete")[0].merge_window.ToTimedelta()


async def test_breaking_off_the_loop_ends_the_call(server: FakeServer, client: AsyncClient) -> None:
    server.will("StreamComplete", [*events(*text_part("a")), Hang()])
    stream = client.completions.stream(model="m", messages="Hi")
    async for event in stream:
        if isinstance(event, PartDelta):
            break
    assert await asyncio.to_thread(server.cancelled.wait, 5)
    assert "a" == stream.snapshot.text
    with pytest.raises(CallCancelledError):
        await stream.final()


def test_breaking_off_the_synchronous_loop_ends_the_call(server: FakeServer, blocking: Client) -> None:
    server.will("StreamComplete", [*events(*text_part("a")), Hang()])
    stream = blocking.completions.stream(model="m", messages="Hi")
    for piece in stream.text_stream():
        assert "a" == piece
        break
    assert server.cancelled.wait(5)
    with pytest.raises(CallCancelledError):
        stream.final()


async def test_an_error_in_the_loop_ends_the_call(server: FakeServer, client: AsyncClient) -> None:
    server.will("StreamComplete", [*events(), Hang()])

    async def fail() -> None:
        async for _ in client.completions.stream(model="m", messages="Hi"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await asyncio.to_thread(server.cancelled.wait, 5)


@pytest.mark.parametrize("face", ["async", "sync"])
async def test_leaving_the_context_ends_the_call(server: FakeServer, client: AsyncClient, blocking: Client, face: str) -> None:
    server.will("StreamComplete", [*events(), Hang()])
    if face == "async":
        async with client.completions.stream(model="m", messages="Hi") as stream:
            assert isinstance(await stream.receive(), Started)
    else:
        with blocking.completions.stream(model="m", messages="Hi") as held:
            assert isinstance(await asyncio.to_thread(held.receive), Started)
    assert await asyncio.to_thread(server.cancelled.wait, 5)


async def test_cancelling_the_task_ends_the_call(server: FakeServer, client: AsyncClient) -> None:
    server.will("StreamComplete", [*events(), Hang()])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await client.completions.stream(model="m", messages="Hi").final()
    assert await asyncio.to_thread(server.cancelled.wait, 5)


async def test_cancel_from_another_task_is_no_cancellation_of_the_reader(server: FakeServer, client: AsyncClient) -> None:
    server.will("StreamComplete", [*events(), Hang()])
    stream = client.completions.stream(model="m", messages="Hi")
    reader = asyncio.create_task(stream.final())
    while stream.envelope is None:
        await asyncio.sleep(0.01)
    stream.cancel()
    with pytest.raises(CallCancelledError):
        await reader


def test_cancel_from_another_thread_wakes_the_reader(server: FakeServer, blocking: Client) -> None:
    server.will("StreamComplete", [*events(), Hang()])
    stream = blocking.completions.stream(model="m", messages="Hi")
    assert isinstance(stream.receive(), Started)
    timer = threading.Timer(0.2, stream.cancel)
    timer.start()
    with pytest.raises(CallCancelledError):
        stream.receive()
    timer.join()


async def test_a_failure_in_mid_stream_keeps_what_there_is_and_stays(server: FakeServer, client: AsyncClient) -> None:
    server.will("StreamComplete", [*events(*text_part("half an ans")), Failure(grpc.StatusCode.UNAVAILABLE)])
    stream = client.completions.stream(model="m", messages="Hi")
    for _ in range(2):
        with pytest.raises(UnavailableError):
            await stream.final()
    assert ("half an ans", FinishReason.UNSPECIFIED) == (stream.snapshot.text, stream.snapshot.finish_reason)


@pytest.mark.parametrize("face", ["async", "sync"])
async def test_a_stream_without_its_last_event_is_an_error(server: FakeServer, client: AsyncClient, blocking: Client, face: str) -> None:
    server.will("StreamComplete", events(*text_part("a")))
    asked = (
        client.completions.stream(model="m", messages="Hi").final()
        if face == "async"
        else asyncio.to_thread(blocking.completions.stream(model="m", messages="Hi").final)
    )
    with pytest.raises(InternalError):
        await asked


async def test_what_a_newer_server_adds_is_passed_over(server: FakeServer, client: AsyncClient) -> None:
    unknown_event = completion_pb.StreamCompleteResponse()
    # Field 1 (the event) with its sequence and, as field 99, an event of a later contract.
    unknown_event.MergeFromString(b"\x0a\x06\x10\x09\x9a\x06\x01x")
    unknown_kind = event_pb2.Event()
    unknown_kind.part_started.MergeFromString(b"\x08\x07\x10\x63")  # index 7, kind 99
    unknown_reason = completed(99)  # pyright: ignore[reportArgumentType]  # an enum value of a later contract
    sequence = [unknown_kind, event_pb2.Event(part_delta=event_pb2.PartDelta(index=7, text="?")), *text_part("ok"), unknown_reason]
    first, *rest = events(*sequence)
    server.will("StreamComplete", [first, unknown_event, *rest])
    stream = client.completions.stream(model="m", messages="Hi")
    passed_through = [event async for event in stream if isinstance(event, UnknownEvent)]
    assert [9] == [event.envelope.sequence for event in passed_through]
    assert b"\x9a\x06\x01x" in bytes(passed_through[0].envelope)
    answer = await stream.final()
    assert ("ok", 99) == (answer.text, answer.finish_reason)


def test_unknown_enum_values_survive_the_way_there_and_back() -> None:
    encoded = message_pb2.Message(role=77, parts=[message_pb2.Part(text="x")]).SerializeToString()  # pyright: ignore[reportArgumentType]
    message = contract.core.Message.parse(encoded)
    assert (77, encoded) == (message.role, bytes(message))


async def test_streams_have_no_deadline_unless_given_one(server: FakeServer, client: AsyncClient) -> None:
    await client.completions.stream(model="m", messages="Hi").final()
    await client.completions.stream(model="m", messages="Hi", timeout_s=5).final()
    free, bound = (call.time_remaining_s for call in server.calls)
    assert free is None or free > 1e6
    assert bound is not None
    assert 0 < bound < 6  # the runtime rounds up


async def test_watching_health_ends_with_its_loop(server: FakeServer, client: AsyncClient) -> None:
    async for report in client.health.watch(interval_s=2):
        assert contract.health.HealthStatus.SERVING == report.status
        break
    assert await asyncio.to_thread(server.cancelled.wait, 5)
    assert timedelta(seconds=2) == server.requests("WatchHealth")[0].interval.ToTimedelta()
