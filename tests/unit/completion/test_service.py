"""The pipeline vouches for the stream: numbered without a gap, priced, ended once and with its end, and closed whatever happens."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from antiphon.api.core.v1.completion_pb2 import CompletionSpec, FinishReason
from antiphon.api.core.v1.event_pb2 import Completed, Event, PartDelta, PartKind, PartStarted, UsageReported
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.core.v1.usage_pb2 import Usage
from antiphon.api.model.v1.model_service_pb2 import Model, ModelStatus, Prices
from antiphon.completion.service import CompletionLimits, CompletionService
from antiphon.errors import DeadlineError, ProviderFailure, Reason
from antiphon.models.catalog import ModelCatalog
from antiphon.ports.call import CallContext
from tests.support.long_work import longest_conversation, turns_of_others
from tests.support.scripted import ALL_CAPABILITIES, ScriptedModel, text_events

if TYPE_CHECKING:
    from antiphon.ports.chat_model import TokenCount

SPEC = CompletionSpec(model="scripted/alpha", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])
CALL = CallContext("call-1", "/x/y")
PRICES = Prices(currency_code="EUR", price_table_version="7", input_micros_per_million=1_000_000, output_micros_per_million=2_000_000)


class Priced(ScriptedModel):
    def describe(self, model_id: str) -> Model | None:
        model = super().describe(model_id)
        if model is not None:
            model.prices.CopyFrom(PRICES)
        return model


def house(model: ScriptedModel) -> tuple[CompletionService, ModelCatalog]:
    catalog = ModelCatalog({"scripted": model}, {})
    return CompletionService(catalog, CompletionLimits(first_token_timeout_s=5, idle_timeout_s=5)), catalog


async def events(model: ScriptedModel, call: CallContext = CALL) -> list[Event]:
    async with aclosing(house(model)[0].stream(SPEC, call)) as batches:
        return [event async for batch in batches for event in batch]


async def test_events_are_numbered_and_bear_their_stream() -> None:
    found = await events(ScriptedModel(script=text_events(*"abcdef")))
    assert list(range(1, len(found) + 1)) == [event.sequence for event in found]
    assert 1 == len({event.stream_id for event in found})
    assert (True, True) == (found[0].HasField("time"), found[-1].HasField("time"))


async def test_other_calls_get_their_turns_while_the_longest_conversation_is_prepared() -> None:
    service, _ = house(ScriptedModel(capabilities=ALL_CAPABILITIES))
    # Held as one piece, there would be two at most.
    assert await turns_of_others(service.count_tokens(longest_conversation("scripted/alpha"), CALL)) >= 4


async def test_each_stream_has_an_id_of_its_own() -> None:
    service, _ = house(ScriptedModel())
    ids = {(await service.complete(SPEC, CALL)).completion_id for _ in range(20)}
    assert 20 == len(ids)


async def test_usage_is_priced_at_the_end_and_where_it_is_reported() -> None:
    usage = Usage(input_tokens=10, output_tokens=5)
    script = [[Event(usage_reported=UsageReported(usage=usage)), Event(completed=Completed(usage=usage))]]
    found = await events(Priced(script=script))
    assert [20, 20] == [found[-2].usage_reported.usage.cost.amount_micros, found[-1].completed.usage.cost.amount_micros]
    assert ("EUR", "7") == (found[-1].completed.usage.cost.currency_code, found[-1].completed.usage.cost.price_table_version)


async def test_usage_reported_before_the_end_is_priced_too() -> None:
    usage = Usage(input_tokens=10, output_tokens=5)
    script = [[Event(usage_reported=UsageReported(usage=usage))], [Event(completed=Completed())]]
    assert 20 == (await events(Priced(script=script)))[1].usage_reported.usage.cost.amount_micros
    completion = await house(Priced(script=script))[0].complete(SPEC, CALL)
    assert 20 == completion.usage.cost.amount_micros


async def test_without_a_price_there_is_no_cost() -> None:
    assert not (await events(ScriptedModel()))[-1].completed.usage.HasField("cost")


@pytest.mark.parametrize("script", [[], text_events("a")[:2], [[Event(part_started=PartStarted(kind=PartKind.PART_KIND_TEXT))], []]])
async def test_an_answer_without_its_end_is_a_failure_and_no_short_success(script: list[list[Event]]) -> None:
    service, catalog = house(ScriptedModel(script=script))
    with pytest.raises(ProviderFailure) as caught:
        await service.complete(SPEC, CALL)
    assert Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR == caught.value.reason
    assert ModelStatus.MODEL_STATUS_UNAVAILABLE == catalog.get("scripted/alpha").status


async def test_nothing_comes_behind_the_end() -> None:
    late = [Event(part_delta=PartDelta(text="late"))]
    found = await events(ScriptedModel(script=[*text_events("a"), late]))
    assert ["completed"] == [event.WhichOneof("payload") for event in found[-1:]]


async def test_an_empty_list_of_events_is_passed_over() -> None:
    script = text_events("a")
    found = await events(ScriptedModel(script=[[], script[0], [], *script[1:]]))
    assert list(range(1, len(found) + 1)) == [event.sequence for event in found]
    assert "completed" == found[-1].WhichOneof("payload")


async def test_a_failure_is_observed_and_the_stream_closed() -> None:
    model = ScriptedModel(script=[*text_events("a")[:2], ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone")])
    service, catalog = house(model)
    with pytest.raises(ProviderFailure):
        await service.complete(SPEC, CALL)
    assert (0, ModelStatus.MODEL_STATUS_UNAVAILABLE) == (model.open_streams, catalog.get("scripted/alpha").status)
    model.script = text_events("a")
    await service.complete(SPEC, CALL)
    assert ModelStatus.MODEL_STATUS_READY == catalog.get("scripted/alpha").status


async def test_a_consumer_that_stops_closes_the_stream() -> None:
    model = ScriptedModel(script=text_events(*"abc"))
    async with aclosing(house(model)[0].stream(SPEC, CALL)) as batches:
        for _ in range(3):
            await anext(batches)
        assert 1 == model.open_streams
    assert 0 == model.open_streams


async def test_the_unary_answer_is_the_stream_collected() -> None:
    completion = await house(ScriptedModel(script=text_events("Hel", "lo")))[0].complete(SPEC, CALL)
    assert ("Hello", FinishReason.FINISH_REASON_STOP) == (completion.message.parts[0].text, completion.finish_reason)


async def test_counting_is_bound_by_the_deadline() -> None:
    class Slow(ScriptedModel):
        async def count_tokens(self, spec: CompletionSpec, model_id: str, call: CallContext) -> TokenCount:
            await asyncio.sleep(60)
            return await super().count_tokens(spec, model_id, call)

    service, _ = house(Slow())
    call = CallContext("c", "m", asyncio.get_running_loop().time() + 0.05)
    with pytest.raises(DeadlineError) as caught:
        await service.count_tokens(SPEC, call)
    assert Reason.ERROR_REASON_DEADLINE_EXCEEDED == caught.value.reason
