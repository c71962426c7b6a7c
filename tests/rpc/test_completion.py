"""A completion over gRPC: the stream's events are whole and in order, and the unary answer is the stream, collected."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec, FinishReason, SamplingParameters, UnsupportedParameterPolicy
from antiphon.api.core.v1.event_pb2 import Event, PartDelta, PartKind, PartStarted
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.model.v1.model_service_pb2 import Capability
from antiphon.errors import ProviderFailure, Reason
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds, text_events
from tests.support.serving import COMPLETION, ServerUnderTest, failure_of, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


def spec(model: str = "scripted/alpha", text: str = "Hi") -> CompletionSpec:
    return CompletionSpec(model=model, messages=[Message(role=Role.ROLE_USER, parts=[Part(text=text)])])


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def server(tmp_path: Path, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    async with serving(tmp_path, SCRIPTED, scripted_kinds(model)) as running:
        yield running


async def test_stream_begins_with_started_ends_with_completed_and_has_no_gap(server: ServerUnderTest) -> None:
    events = await server.events(pb.StreamCompleteRequest(spec=spec()))
    kinds = [event.WhichOneof("payload") for event in events]
    assert ["started", "part_started", "part_delta", "part_delta", "part_ended", "completed"] == kinds
    assert list(range(1, 7)) == [event.sequence for event in events]
    assert 1 == len({event.stream_id for event in events})


async def test_unary_is_the_stream_collected(server: ServerUnderTest) -> None:
    completion = (await server.complete(pb.CompleteRequest(spec=spec(model="default")))).completion
    assert "scripted/alpha" == completion.model
    assert ["Hello"] == [part.text for part in completion.message.parts]
    assert FinishReason.FINISH_REASON_STOP == completion.finish_reason
    assert (3, 2) == (completion.usage.input_tokens, completion.usage.output_tokens)


async def test_deltas_within_the_merge_window_arrive_as_one(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [
        [Event(part_started=PartStarted(index=0, kind=PartKind.PART_KIND_TEXT)), *(Event(part_delta=PartDelta(text=t)) for t in "abc")],
        *text_events()[1:],
    ]
    events = await server.events(pb.StreamCompleteRequest(spec=spec()))
    assert ["abc"] == [event.part_delta.text for event in events if event.HasField("part_delta")]


async def test_failure_in_mid_stream_carries_its_details(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [
        *text_events("a")[:2],
        ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone", retry_after_s=2.5),
    ]
    failure = await server.refused(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=spec()))
    assert (grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE", 2.5) == (failure.code, failure.reason, failure.retry_after_s)


async def test_a_fault_of_ours_shows_nothing_internal(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [RuntimeError("secret-path")]
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec()))
    assert (grpc.StatusCode.INTERNAL, "INTERNAL") == (failure.code, failure.reason)
    assert "secret-path" not in failure.message
    assert ["call_id"] == list(failure.metadata)


async def test_an_ignored_parameter_is_reported_and_not_passed_on(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.capabilities = [Capability.CAPABILITY_TEMPERATURE]
    request = spec()
    request.sampling.CopyFrom(SamplingParameters(temperature=0, top_k=3))
    request.unsupported_parameter_policy = UnsupportedParameterPolicy.UNSUPPORTED_PARAMETER_POLICY_IGNORE
    completion = (await server.complete(pb.CompleteRequest(spec=request))).completion
    assert ["sampling.top_k"] == list(completion.ignored_parameters)
    assert not model.asked[0].sampling.HasField("top_k")


async def test_cancelling_closes_the_models_stream(server: ServerUnderTest, model: ScriptedModel) -> None:
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.sleep(60)

    model.script = [*text_events("a")[:2], wait]
    call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=spec()), pb.StreamCompleteResponse)
    await waiting.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call.read()
    async with asyncio.timeout(1):
        while model.open_streams:
            await asyncio.sleep(0.001)


async def test_deadline_reaches_the_caller_with_its_reason(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [lambda: asyncio.sleep(60)]
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=spec()), timeout_s=0.5)
    assert (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED") == (failure.code, failure.reason)
    assert 0 == model.open_streams


@pytest.mark.parametrize(
    ("batches", "reason"),
    [([], "FIRST_TOKEN_TIMEOUT"), (text_events("a")[:2], "IDLE_TIMEOUT")],
)
async def test_a_silent_provider_is_given_up(tmp_path: Path, batches: list[list[Event]], reason: str) -> None:
    model = ScriptedModel(script=[*batches, lambda: asyncio.sleep(60)])
    limits = {"completion": {"first_token_timeout_s": 0.1, "idle_timeout_s": 0.1}}
    async with serving(tmp_path, {**SCRIPTED, **limits}, scripted_kinds(model)) as server:
        failure = await server.refused(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=spec()))
        assert (grpc.StatusCode.UNAVAILABLE, reason) == (failure.code, failure.reason)
        assert failure.provider_error is not None
        assert ("scripted", "alpha") == (failure.provider_error.provider, failure.provider_error.model)
        assert 0 == model.open_streams


async def test_a_draining_server_finishes_what_it_began(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(0.3), *text_events("b")[1:]]
    call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=spec()), pb.StreamCompleteResponse)
    kinds: list[str | None] = []
    closing: asyncio.Task[None] | None = None
    async for response in call:
        kinds.append(response.event.WhichOneof("payload"))
        closing = closing or asyncio.create_task(server.application.close())
    assert ("started", "completed") == (kinds[0], kinds[-1])
    assert closing is not None
    await closing


async def test_failure_of_unpacks_nothing_from_a_bare_status(server: ServerUnderTest) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.raw("/nobody/Knows", b"")
    failure = failure_of(caught.value)
    assert (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND") == (failure.code, failure.reason)


async def test_a_field_of_a_newer_contract_is_refused_and_not_dropped_in_silence(server: ServerUnderTest, model: ScriptedModel) -> None:
    unknown = bytes([0xF8, 0x07, 0x01])  # field 127, a varint
    request = pb.CompleteRequest(spec=spec())
    nested = request.spec.SerializeToString() + unknown
    for body in (request.SerializeToString() + unknown, b"\x0a" + bytes([len(nested)]) + nested):
        failure = await server.refused(f"{COMPLETION}/Complete", body)
        assert (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_FIELD") == (failure.code, failure.reason)
    assert [] == model.asked


async def test_the_log_line_of_a_call_names_its_completion_and_labels(
    tmp_path: Path, model: ScriptedModel, log_entries: list[dict[str, object]]
) -> None:
    labelled = spec()
    labelled.labels["team"] = "blue"
    async with serving(tmp_path, {**SCRIPTED, "log": {"access": True}}, scripted_kinds(model)) as running:
        completion = (await running.complete(pb.CompleteRequest(spec=labelled))).completion
    line = next(entry for entry in log_entries if entry["event"] == "call")
    assert (completion.completion_id, "scripted/alpha", {"team": "blue"}) == (line["completion_id"], line["model"], line["labels"])


async def test_tools_that_are_ignored_take_their_choice_along_and_both_are_reported(server: ServerUnderTest, model: ScriptedModel) -> None:
    model.capabilities = []
    request = spec()
    request.tools.add(name="clock")
    request.tool_choice.allowed_tool_names.append("clock")
    request.unsupported_parameter_policy = UnsupportedParameterPolicy.UNSUPPORTED_PARAMETER_POLICY_IGNORE
    completion = (await server.complete(pb.CompleteRequest(spec=request))).completion
    assert ["tools", "tool_choice"] == list(completion.ignored_parameters)
