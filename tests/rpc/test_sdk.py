"""The Python SDK, asynchronous and synchronous, against the real server: answers, streams, errors, cancellation and retries mean the same on both sides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.api.core.v1.completion_pb2 import FinishReason as ServerFinishReason
from antiphon.api.core.v1.error_pb2 import ProviderError
from antiphon.api.core.v1.event_pb2 import (
    Completed,
    Event,
    PartDelta,
    PartKind,
    PartStarted,
    ToolCallArgumentsDelta,
    ToolCallEnded,
    ToolCallStarted,
)
from antiphon.api.core.v1.usage_pb2 import Usage
from antiphon.errors import ProviderFailure, Reason
from antiphon_client import (
    AsyncClient,
    CallCancelledError,
    Client,
    DeadlineExceededError,
    ErrorReason,
    FinishReason,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    RateLimitedError,
    Tool,
    UnavailableError,
    contract,
    system,
    tool_result,
    user,
)
from antiphon_client import (
    PartDelta as DeltaEvent,
)
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds, text_events
from tests.support.serving import ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
async def server(tmp_path: Path, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    async with serving(tmp_path, SCRIPTED, scripted_kinds(model)) as running:
        yield running


@pytest.fixture
async def client(server: ServerUnderTest) -> AsyncGenerator[AsyncClient, None]:
    async with AsyncClient(server.target, api_key="", timeout_s=20) as connected:
        yield connected


@pytest.fixture
def blocking(server: ServerUnderTest) -> Generator[Client, None, None]:
    with Client(server.target, api_key="", timeout_s=20) as connected:
        yield connected


def rich_script() -> list[Any]:
    """Reasoning with a signature, text, and two interleaved tool calls."""

    def arguments(call_id: str, text: str) -> Event:
        return Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id=call_id, arguments=text))

    reasoning = [
        Event(part_started=PartStarted(index=0, kind=PartKind.PART_KIND_REASONING)),
        Event(part_delta=PartDelta(index=0, text="hm")),
    ]
    reasoning.append(Event(part_ended={"index": 0, "provider_state": b"signature"}))
    text = [
        Event(part_started=PartStarted(index=1, kind=PartKind.PART_KIND_TEXT)),
        Event(part_delta=PartDelta(index=1, text="Let me see.")),
    ]
    text.append(Event(part_ended={"index": 1}))
    calls = [Event(tool_call_started=ToolCallStarted(call_id=name, name="weather", index=index)) for index, name in ((2, "a"), (3, "b"))]
    calls += [arguments("b", '{"city":'), arguments("a", '{"city":"Ghent"}'), arguments("b", '"Lyon"}')]
    calls += [Event(tool_call_ended=ToolCallEnded(call_id=name)) for name in ("a", "b")]
    finish = ServerFinishReason.FINISH_REASON_TOOL_CALLS
    usage = Usage(input_tokens=5, output_tokens=7, reasoning_tokens=1)
    return [reasoning, text, calls, [Event(completed=Completed(finish_reason=finish, provider_finish_reason="tool_calls", usage=usage))]]


async def test_final_is_what_create_returns(client: AsyncClient, blocking: Client, model: ScriptedModel) -> None:
    model.script = rich_script()
    tools = [Tool("weather", "Tells the weather.", {"type": "object"})]
    asked: Any = {"model": "default", "messages": [system("Be brief."), user("Hi")], "tools": tools, "max_output_tokens": 50}
    answers = [
        await client.completions.create(**asked),
        await client.completions.stream(**asked).final(),
        await asyncio.to_thread(lambda: blocking.completions.create(**asked)),
        await asyncio.to_thread(lambda: blocking.completions.stream(**asked).final()),
    ]
    for answer in answers:
        assert answer.completion_id
        assert answer.create_time is not None
        # What differs from call to call.
        answer.proto.completion_id, answer.proto.create_time = "", None
    assert [answers[0]] * 3 == answers[1:]
    assert ("scripted/alpha", "Let me see.", "hm", FinishReason.TOOL_CALLS) == (
        answers[0].model,
        answers[0].text,
        answers[0].reasoning,
        answers[0].finish_reason,
    )
    assert [("a", '{"city":"Ghent"}'), ("b", '{"city":"Lyon"}')] == [(call.call_id, call.arguments) for call in answers[0].tool_calls]
    assert b"signature" == answers[0].message.parts[0].provider_state
    assert (5, 7, 1) == (answers[0].usage.input_tokens, answers[0].usage.output_tokens, answers[0].usage.reasoning_tokens)


async def test_an_answer_goes_back_as_it_came(client: AsyncClient, model: ScriptedModel) -> None:
    def weather(city: str) -> str:
        """Tells the weather."""
        return f"rain in {city}"

    tool = Tool.from_function(weather)
    model.script = rich_script()
    answer = await client.completions.create(model="default", messages="Hi", tools=[tool])
    model.script = text_events("It ", "rains.")
    results = [tool_result(call, tool.run(call)) for call in answer.tool_calls]
    last = await client.completions.create(model="default", messages=["Hi", answer, *results], tools=[tool])
    assert "It rains." == last.text
    sent = model.asked[-1].messages
    assert b"signature" == sent[1].parts[0].provider_state
    assert ["rain in Ghent", "rain in Lyon"] == [message.parts[0].tool_result.parts[0].text for message in sent[2:]]


async def test_text_arrives_while_it_is_written(client: AsyncClient, model: ScriptedModel) -> None:
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    model.script = [*text_events("Hel")[:2], wait, *text_events("lo")[1:]]
    pieces = client.completions.stream(model="default", messages="Hi").text_stream()
    assert "Hel" == await anext(pieces)
    go_on.set()
    assert ["lo"] == [piece async for piece in pieces]


async def _closed(model: ScriptedModel) -> bool:
    async with asyncio.timeout(5):
        while model.open_streams:
            await asyncio.sleep(0.001)
    return True


async def test_leaving_the_loop_stops_the_model(client: AsyncClient, model: ScriptedModel) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(60)]
    stream = client.completions.stream(model="default", messages="Hi")
    async for event in stream:
        if isinstance(event, DeltaEvent):
            assert 1 == model.open_streams
            break
    assert await _closed(model)
    assert "a" == stream.snapshot.text
    with pytest.raises(CallCancelledError):
        await stream.final()


async def test_leaving_the_synchronous_context_stops_the_model(blocking: Client, model: ScriptedModel) -> None:
    model.script = [*text_events("a")[:2], lambda: asyncio.sleep(60)]

    def read_a_little() -> str:
        with blocking.completions.stream(model="default", messages="Hi") as stream:
            return next(stream.text_stream())

    assert "a" == await asyncio.to_thread(read_a_little)
    assert await _closed(model)


async def test_the_deadline_is_the_servers_too(client: AsyncClient, model: ScriptedModel) -> None:
    model.script = [lambda: asyncio.sleep(60)]
    with pytest.raises(DeadlineExceededError):
        await client.completions.create(model="default", messages="Hi", timeout_s=0.5)
    assert await _closed(model)


async def test_invalid_fields_are_named(client: AsyncClient) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await client.completions.create(model="default", messages="Hi", temperature=7)
    assert ErrorReason.INVALID_FIELD == caught.value.known_reason
    assert ["spec.sampling.temperature"] == [violation.field for violation in caught.value.field_violations]


async def test_an_unknown_model_is_not_found(client: AsyncClient, blocking: Client) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.completions.create(model="scripted/missing", messages="Hi")
    assert ErrorReason.MODEL_NOT_FOUND == caught.value.known_reason
    with pytest.raises(NotFoundError):
        await asyncio.to_thread(blocking.models.get, "nobody/nothing")


async def test_what_the_provider_said_reaches_the_caller_in_mid_stream(client: AsyncClient, model: ScriptedModel) -> None:
    said = ProviderError(provider="scripted", model="alpha", http_status=429, request_id="r1")
    throttled = ProviderFailure(Reason.ERROR_REASON_PROVIDER_RATE_LIMITED, "slow down", retry_after_s=1.5, provider_error=said)
    model.script = [*text_events("Half")[:2], throttled]
    stream = client.completions.stream(model="default", messages="Hi")
    with pytest.raises(RateLimitedError) as caught:
        await stream.final()
    assert ("PROVIDER_RATE_LIMITED", 1.5, "Half") == (caught.value.reason, caught.value.retry_after_s, stream.snapshot.text)
    assert caught.value.provider_error is not None
    assert (429, "r1") == (caught.value.provider_error.http_status, caught.value.provider_error.request_id)


async def test_a_paid_call_is_made_once(client: AsyncClient, model: ScriptedModel) -> None:
    model.script = [ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone", retry_after_s=0.01)]
    with pytest.raises(UnavailableError):
        await client.completions.create(model="default", messages="Hi")
    assert 1 == len(model.asked)


async def test_a_fault_of_the_server_is_internal(client: AsyncClient, model: ScriptedModel) -> None:
    model.script = [RuntimeError("a secret")]
    with pytest.raises(InternalError) as caught:
        await client.completions.create(model="default", messages="Hi")
    assert "a secret" not in str(caught.value)
    assert ["call_id"] == list(caught.value.metadata)


async def test_models_tokens_and_health(client: AsyncClient, blocking: Client) -> None:
    names = [one.name async for one in client.models.list(page_size=2)]
    assert ["scripted/alpha", "scripted/beta", "scripted/gamma"] == names
    assert names == await asyncio.to_thread(lambda: [one.name for one in blocking.models.list()])
    assert "scripted/alpha" == (await client.models.get("default")).name
    count = await client.completions.count_tokens(model="default", messages=["Hi", {"role": "assistant", "content": "Hello"}, "Well?"])
    assert (3, "scripted/alpha") == (count.input_tokens, count.model)
    report = await client.health.check()
    assert contract.health.HealthStatus.SERVING == report.status
    assert "provider/scripted" in [component.name for component in report.components]
    async for first in client.health.watch(interval_s=1):
        assert contract.health.HealthStatus.SERVING == first.status
        break


async def test_ignored_parameters_are_told(client: AsyncClient, model: ScriptedModel) -> None:
    model.capabilities = []
    answer = await client.completions.create(model="default", messages="Hi", top_k=3, unsupported_parameters="ignore")
    assert ["sampling.top_k"] == answer.ignored_parameters
    with pytest.raises(InvalidRequestError):
        await client.completions.create(model="default", messages="Hi", top_k=3)
