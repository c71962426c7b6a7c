"""The use cases: complete, stream, count tokens. One pipeline serves all."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.api.core.v1.error_pb2 import ProviderError
from antiphon.api.core.v1.event_pb2 import Event
from antiphon.completion.collecting import Collector
from antiphon.completion.conversation import check_conversation
from antiphon.completion.cost import priced
from antiphon.completion.merging import merge
from antiphon.completion.parameters import fit_parameters
from antiphon.completion.patience import Patience
from antiphon.completion.schemas import SchemaChecker
from antiphon.errors import AntiphonError, DeadlineError, ProviderFailure, Reason, UnavailableError
from antiphon.event_loop import beside_loop
from antiphon.ports.chat_model import WHOLE, Delivery
from antiphon.telemetry.model_metrics import ModelMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.api.core.v1.completion_pb2 import Completion, CompletionSpec
    from antiphon.api.model.v1.model_service_pb2 import Model
    from antiphon.models.catalog import ModelCatalog, ResolvedModel
    from antiphon.ports.call import CallContext
    from antiphon.ports.chat_model import TokenCount
    from antiphon.telemetry.model_metrics import AnswerMetrics
    from antiphon.telemetry.model_spans import ModelSpan, ModelSpans

_UNTRACED: AbstractAsyncContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class CompletionLimits:
    """How long a provider may keep a call waiting.

    Attributes:
        first_token_timeout_s: Until its first token, in seconds.
        idle_timeout_s: Between two reads in mid-stream, in seconds.
    """

    first_token_timeout_s: float
    idle_timeout_s: float


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request that a provider can be asked."""

    spec: CompletionSpec
    target: ResolvedModel
    ignored: list[str]


class CompletionService:
    """Answers of models to conversations."""

    def __init__(
        self, catalog: ModelCatalog, limits: CompletionLimits, spans: ModelSpans | None = None, metrics: ModelMetrics | None = None
    ) -> None:
        """Builds it.

        Args:
            catalog: What models there are.
            limits: How long a provider may keep a call waiting.
            spans: Makes the spans of the exchanges with models; None where nothing is traced.
            metrics: Counts and times what models answer; None where nobody looks.
        """
        self._catalog = catalog
        self._limits = limits
        self._spans = spans
        self._metrics = ModelMetrics() if metrics is None else metrics
        self._schemas = SchemaChecker()

    async def complete(self, spec: CompletionSpec, call: CallContext) -> Completion:
        """Answers in one message: the stream, collected.

        Raises:
            AntiphonError: As the contract's ErrorReason tells.
        """
        collector = Collector()
        async with aclosing(self._events(spec, call, WHOLE)) as batches:
            async for batch in batches:
                for event in batch:
                    collector.add(event)
        return collector.completion

    def stream(self, spec: CompletionSpec, call: CallContext, merge_window_s: float = 0) -> AsyncGenerator[list[Event], None]:
        """Answers in events, as lists of what is ready together. Close the generator to stop the provider.

        While the consumer is busy with a list, what arrives waits in the connection's bounded buffer and comes merged in the next list; a consumer
        that stays away stops the provider by flow control.

        Args:
            spec: What to complete.
            call: The call.
            merge_window_s: How long a delta may wait for its followers, in seconds; the first never waits.

        Raises:
            AntiphonError: As the contract's ErrorReason tells.
        """
        return self._events(spec, call, Delivery(incremental=True, merge_window_s=merge_window_s))

    async def count_tokens(self, spec: CompletionSpec, call: CallContext) -> tuple[TokenCount, str]:
        """Returns the input's count and the resolved model's name.

        Raises:
            AntiphonError: As the contract's ErrorReason tells.
        """
        prepared = await self._prepare(spec)
        try:
            async with asyncio.timeout_at(call.deadline_s):
                count = await prepared.target.chat_model.count_tokens(prepared.spec, prepared.target.model_id, call)
        except TimeoutError:
            raise DeadlineError(Reason.ERROR_REASON_DEADLINE_EXCEEDED, "the call's deadline came before the tokens were counted") from None
        return count, prepared.target.description.name

    async def _prepare(self, spec: CompletionSpec) -> _Prepared:
        size_bytes = spec.ByteSize()
        await beside_loop(size_bytes, check_conversation, spec.messages)
        target = self._catalog.resolve(spec.model)
        fitted, ignored = await beside_loop(size_bytes, fit_parameters, spec, target.description)
        for index, tool in enumerate(fitted.tools):
            if tool.input_schema:
                await self._schemas.check(tool.input_schema, f"spec.tools[{index}].input_schema", object_at_top=True)
        if fitted.HasField("response_format") and fitted.response_format.HasField("json_schema"):
            schema = fitted.response_format.json_schema.schema
            await self._schemas.check(schema, "spec.response_format.json_schema.schema", object_at_top=False)
        return _Prepared(fitted, target, ignored)

    async def _events(self, spec: CompletionSpec, call: CallContext, delivery: Delivery) -> AsyncGenerator[list[Event], None]:
        prepared = await self._prepare(spec)
        target = prepared.target
        stream_id = f"cmpl-{secrets.token_hex(16)}"
        sequence = 1
        model_name = target.description.name
        call.facts.update(completion_id=stream_id, model=model_name)
        if spec.labels:
            call.facts["labels"] = dict(spec.labels)
        started = Event(stream_id=stream_id, sequence=1)
        accepted = started.started
        accepted.completion_id, accepted.model = stream_id, model_name
        if prepared.ignored:
            accepted.ignored_parameters.extend(prepared.ignored)
        started.time.FromNanoseconds(time.time_ns())
        yield [started]
        patience = Patience(
            first_token_timeout_s=self._limits.first_token_timeout_s,
            idle_timeout_s=self._limits.idle_timeout_s + delivery.merge_window_s,
            deadline_s=call.deadline_s,
        )
        answer = self._metrics.answer(target.chat_model.provider, target.model_id, timed=delivery.incremental)
        batches = target.chat_model.stream(prepared.spec, target.model_id, call, delivery)
        ended = False
        try:
            async with self._traced(prepared, stream_id, delivery) as span, aclosing(batches):
                while (batch := await _next(patience, batches)) is not None:
                    if ended or not batch:
                        continue  # an adapter may have more to do after its end, but nothing more to say
                    answer.arrived()
                    batch = merge(batch)
                    for event in batch:
                        sequence += 1
                        event.stream_id = stream_id
                        event.sequence = sequence
                        _note_usage(event, target.description, answer)
                    if ended := batch[-1].HasField("completed"):
                        batch[-1].time.FromNanoseconds(time.time_ns())
                        usage = batch[-1].completed.usage
                        call.facts.update(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
                    if span is not None:
                        span.took(batch)
                    yield batch
            if not ended:
                raise ProviderFailure(Reason.ERROR_REASON_PROVIDER_PROTOCOL_ERROR, "the provider's answer stopped without its end")
        except AntiphonError as error:
            self._note_failure(error, target, answer)
            raise
        finally:
            patience.close()
            answer.close()
        self._catalog.observe(target, None)

    def _note_failure(self, error: AntiphonError, target: ResolvedModel, answer: AnswerMetrics) -> None:
        if isinstance(error, ProviderFailure) and error.provider_error is None:
            error.provider_error = ProviderError(provider=target.chat_model.provider, model=target.model_id)
        if error.provider_error is not None or isinstance(error, UnavailableError):
            answer.failed(Reason.Name(error.reason).removeprefix("ERROR_REASON_"))
        self._catalog.observe(target, error)

    def _traced(self, prepared: _Prepared, completion_id: str, delivery: Delivery) -> AbstractAsyncContextManager[ModelSpan | None]:
        if self._spans is None:
            return _UNTRACED
        target = prepared.target
        return self._spans.of(prepared.spec, target.chat_model.provider, target.model_id, completion_id, stream=delivery.incremental)


async def _next(patience: Patience, batches: AsyncGenerator[list[Event], None]) -> list[Event] | None:
    try:
        return await patience.next(batches)
    except StopAsyncIteration:
        return None


def _note_usage(event: Event, model: Model, answer: AnswerMetrics) -> None:
    """Counts the usage in an event, and adds its cost where the model has a price."""
    if event.HasField("completed") and event.completed.HasField("usage"):
        usage = event.completed.usage
    elif event.HasField("usage_reported"):
        usage = event.usage_reported.usage
    else:
        return
    answer.used(usage)
    if model.HasField("prices"):
        usage.cost.CopyFrom(priced(usage, model.prices))
