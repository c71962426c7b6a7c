"""What every implementation of the port `ChatModel` must do.

A test module derives `ChatModelSuite` and gives it a fixture `subject`: the adapter, and a provider behind it that does what the suite says.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol

import pytest

from antiphon.api.core.v1.completion_pb2 import CompletionSpec, FinishReason
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.core.v1.tool_pb2 import Tool
from antiphon.errors import AntiphonError, InvalidRequestError, Reason
from antiphon.ports.call import CallContext
from antiphon.ports.chat_model import WHOLE, Delivery
from tests.conformance.answers import Answer, collect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.ports.chat_model import ChatModel

CALL = CallContext(call_id="call", method="/test")
INCREMENTAL = Delivery(incremental=True)
# From the moment a call is given up to the moment the provider sees its connection closed.
AT_ONCE_S = 0.5


class Subject(Protocol):
    """An adapter and its provider. Each method tells the provider what the next call gets."""

    chat_model: ChatModel
    model_id: str

    def answers(self, *pieces: str) -> None:
        """A text, a delta each."""
        ...

    def paces(self, delay_s: float, *pieces: str) -> None:
        """A text, a delta each, with a delay before each."""
        ...

    def calls_tools(self, *calls: tuple[str, tuple[str, ...]]) -> None:
        """Tool calls, each with its name and its arguments in pieces; the pieces of different calls alternate."""
        ...

    def keeps_silent(self) -> None:
        """Nothing at all, while the connection stays open."""
        ...

    def stalls(self, *pieces: str) -> None:
        """The pieces and then nothing more, while the connection stays open."""
        ...

    def breaks_off(self, *pieces: str) -> None:
        """The pieces and then the end of the connection."""
        ...

    def stops_short(self, *pieces: str) -> None:
        """The pieces and then a clean end of the reply, without the answer's own end."""
        ...

    def throttles(self, retry_after_s: int) -> None:
        """A refusal for now."""
        ...

    def fails(self) -> None:
        """A fault of the provider's."""
        ...

    async def disconnected(self) -> float:
        """Waits until the provider sees the connection closed; returns when, on the monotonic clock."""
        ...


def spec(text: str = "Hi") -> CompletionSpec:
    """A conversation of one question, with two tools that the model may call."""
    return CompletionSpec(
        messages=[Message(role=Role.ROLE_USER, parts=[Part(text=text)])],
        tools=[Tool(name="weather", input_schema='{"type": "object"}'), Tool(name="time")],
    )


class ChatModelSuite:
    """The suite. Every test asks through the port alone."""

    @pytest.fixture
    def subject(self) -> Subject:
        """The adapter to test; derived suites give it."""
        raise NotImplementedError

    @pytest.mark.parametrize("delivery", [INCREMENTAL, WHOLE], ids=["incremental", "whole"])
    async def test_an_answer_in_text(self, subject: Subject, delivery: Delivery) -> None:
        subject.answers("Hel", "lo ", "wörld 🌍")

        answer = await ask(subject, delivery)

        assert "Hello wörld 🌍" == answer.text
        assert answer.completed is not None
        assert FinishReason.FINISH_REASON_STOP == answer.completed.finish_reason

    async def test_an_empty_answer(self, subject: Subject) -> None:
        subject.answers()

        assert [] == (await ask(subject)).parts

    @pytest.mark.parametrize("delivery", [INCREMENTAL, WHOLE], ids=["incremental", "whole"])
    async def test_parallel_tool_calls(self, subject: Subject, delivery: Delivery) -> None:
        subject.calls_tools(("weather", ('{"ci', 'ty":"B', 'onn"}')), ("weather", ('{"city"', ':"Ulm"}')), ("time", ("{}",)))

        answer = await ask(subject, delivery)

        assert [("weather", '{"city":"Bonn"}'), ("weather", '{"city":"Ulm"}'), ("time", "{}")] == [
            (call.name, call.arguments) for call in answer.calls
        ]
        assert answer.completed is not None
        assert FinishReason.FINISH_REASON_TOOL_CALLS == answer.completed.finish_reason

    async def test_usage_is_told_before_the_end(self, subject: Subject) -> None:
        subject.answers("a", "b")

        answer = await ask(subject)

        assert answer.completed is not None
        assert answer.usages[-1] == answer.completed.usage
        assert answer.completed.usage.input_tokens > 0
        assert answer.completed.usage.output_tokens > 0

    async def test_no_list_of_events_is_empty(self, subject: Subject) -> None:
        subject.answers("a", "b", "c")

        assert all([batch async for batch in stream(subject)])

    async def test_events_come_while_the_model_writes(self, subject: Subject) -> None:
        subject.stalls("a", "b")

        async with aclosing(stream(subject)) as batches:
            events: list[Event] = []
            while "ab" != collect(events, whole=False).text:
                events += await asyncio.wait_for(anext(batches), 5)

    async def test_a_merge_window_gathers_what_arrives_in_it_and_the_first_delta_never_waits(self, subject: Subject) -> None:
        pieces = tuple(f"{number} " for number in range(50))
        subject.paces(0.01, *pieces)

        batches = [batch async for batch in stream(subject, Delivery(incremental=True, merge_window_s=0.15))]

        assert "".join(pieces) == collect(event for batch in batches for event in batch).text
        assert len(batches) < 15
        assert len(collect(batches[0], whole=False).text) < 10

    async def test_many_answers_at_a_time_do_not_mix(self, subject: Subject) -> None:
        for number in range(16):
            subject.answers(*(f"{number};" for _ in range(5)))

        texts = [answer.text for answer in await asyncio.gather(*(ask(subject) for _ in range(16)))]

        assert sorted(f"{number};" * 5 for number in range(16)) == sorted(texts)

    @pytest.mark.parametrize("delivery", [INCREMENTAL, WHOLE], ids=["incremental", "whole"])
    async def test_cancelling_before_the_first_token_closes_the_connection_at_once(self, subject: Subject, delivery: Delivery) -> None:
        subject.keeps_silent()
        asking = asyncio.create_task(ask(subject, delivery))
        await asyncio.sleep(0.2)

        cancelled_s = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        assert await subject.disconnected() - cancelled_s < AT_ONCE_S

    async def test_cancelling_in_mid_stream_closes_the_connection_at_once(self, subject: Subject) -> None:
        subject.stalls("a")
        asking = asyncio.create_task(ask(subject))
        await asyncio.sleep(0.2)

        cancelled_s = time.monotonic()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

        assert await subject.disconnected() - cancelled_s < AT_ONCE_S

    async def test_closing_the_generator_closes_the_connection_at_once(self, subject: Subject) -> None:
        subject.stalls("a")
        batches = stream(subject)
        await anext(batches)

        closed_s = time.monotonic()
        await batches.aclose()

        assert await subject.disconnected() - closed_s < AT_ONCE_S

    async def test_a_connection_that_breaks_is_a_failure_after_what_had_arrived(self, subject: Subject) -> None:
        subject.breaks_off("a", "b")

        events, failure = await failing(subject)

        assert "ab" == collect(events, whole=False).text
        assert Reason.ERROR_REASON_PROVIDER_UNAVAILABLE == failure.reason
        assert failure.retry_after_s is not None

    async def test_an_answer_that_stops_short_is_no_success(self, subject: Subject) -> None:
        subject.stops_short("a", "b")

        events, failure = await failing(subject)

        assert "ab" == collect(events, whole=False).text
        assert Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR == failure.reason

    async def test_a_throttle_says_when_to_ask_again(self, subject: Subject) -> None:
        subject.throttles(7)

        events, failure = await failing(subject)

        assert ([], Reason.ERROR_REASON_PROVIDER_RATE_LIMITED, 7.0) == (events, failure.reason, failure.retry_after_s)

    async def test_a_failure_names_provider_and_model(self, subject: Subject) -> None:
        subject.fails()

        _, failure = await failing(subject)

        assert Reason.ERROR_REASON_PROVIDER_UNAVAILABLE == failure.reason
        assert failure.provider_error is not None
        assert (subject.chat_model.provider, subject.model_id) == (failure.provider_error.provider, failure.provider_error.model)

    async def test_the_next_call_works_after_a_failure(self, subject: Subject) -> None:
        subject.fails()
        await failing(subject)
        subject.breaks_off("a")
        await failing(subject)
        subject.answers("b")

        assert "b" == (await ask(subject)).text

    async def test_content_without_a_form_is_refused_before_the_provider_is_asked(self, subject: Subject) -> None:
        unknown = spec()
        unknown.messages[0].parts.add().blob.media_type = "application/x-unknown"

        with pytest.raises(InvalidRequestError) as caught:
            await anext(subject.chat_model.stream(unknown, subject.model_id, CALL, INCREMENTAL))

        assert Reason.ERROR_REASON_UNSUPPORTED_CONTENT == caught.value.reason
        assert ["spec.messages[0].parts[1].blob"] == [violation.field for violation in caught.value.violations]

    async def test_a_model_is_described_and_listed_by_its_full_name(self, subject: Subject) -> None:
        described = subject.chat_model.describe(subject.model_id)
        listed = await subject.chat_model.list_models()

        assert described is not None
        assert (f"{subject.chat_model.provider}/{subject.model_id}", subject.chat_model.provider) == (described.name, described.provider)
        assert described.name in [model.name for model in listed]
        assert len(listed) == len({model.name for model in listed})

    async def test_a_description_is_the_callers_own(self, subject: Subject) -> None:
        described = subject.chat_model.describe(subject.model_id)
        assert described is not None
        described.aliases.append("mine")

        again = subject.chat_model.describe(subject.model_id)

        assert again is not None
        assert [] == list(again.aliases)

    async def test_tokens_are_counted(self, subject: Subject) -> None:
        count = await subject.chat_model.count_tokens(spec(), subject.model_id, CALL)

        assert count.input_tokens > 0
        assert count.tokenizer

    async def test_ping_and_close(self, subject: Subject) -> None:
        await subject.chat_model.ping()
        await subject.chat_model.close()
        await subject.chat_model.close()


def stream(subject: Subject, delivery: Delivery = INCREMENTAL) -> AsyncGenerator[list[Event], None]:
    """Asks the subject."""
    return subject.chat_model.stream(spec(), subject.model_id, CALL, delivery)


async def ask(subject: Subject, delivery: Delivery = INCREMENTAL) -> Answer:
    """Asks the subject and collects its answer."""
    return collect([event async for batch in stream(subject, delivery) for event in batch])


async def failing(subject: Subject) -> tuple[list[Event], AntiphonError]:
    """Asks the subject and returns what came before its failure, and that."""
    events: list[Event] = []
    try:
        async for batch in stream(subject):
            events += batch
    except AntiphonError as failure:
        return events, failure
    pytest.fail("the answer did not fail")
