"""The span of each exchange with a model, by the conventions for generative AI."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode

from antiphon.api.core.v1.completion_pb2 import FinishReason
from antiphon.errors import AntiphonError, Reason
from antiphon.telemetry.span_content import AnswerContent, input_content

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.event_pb2 import Completed, Event
    from antiphon.api.core.v1.usage_pb2 import Usage
    from antiphon.telemetry.tracing import Traces

_UNTRACED: AbstractAsyncContextManager[None] = nullcontext()
_FAILED = Status(StatusCode.ERROR)
_REASON_PREFIX = "ERROR_REASON_"
_FINISH_PREFIX = "FINISH_REASON_"
_NO_CHUNKS = frozenset({"usage_reported", "completed"})


class ModelSpans:
    """Makes the spans. Where a call is not traced, neither are its exchanges."""

    def __init__(self, traces: Traces, *, record_content: bool) -> None:
        """Prepares it.

        Args:
            traces: What begins spans.
            record_content: Whether prompts and answers are recorded.
        """
        self._traces = traces
        self._record_content = record_content

    def of(
        self, spec: CompletionSpec, provider: str, model_id: str, completion_id: str, *, stream: bool
    ) -> AbstractAsyncContextManager[ModelSpan | None]:
        """Begins the span of an exchange, to be entered by the task that makes it; gives None where the call is not traced.

        Args:
            spec: What the model is asked.
            provider: The provider's configured name.
            model_id: The provider's own name of the model.
            completion_id: Names the completion.
            stream: Whether the answer is awaited in pieces.
        """
        if not trace.get_current_span().is_recording():
            return _UNTRACED
        attributes = _asked(spec, provider, model_id, stream=stream)
        attributes["gen_ai.response.id"] = completion_id
        if self._record_content:
            attributes |= input_content(spec)
        span = self._traces.begin(f"chat {model_id}", SpanKind.CLIENT, attributes)
        return ModelSpan(span, stream=stream, content=AnswerContent() if self._record_content else None)


class ModelSpan(AbstractAsyncContextManager["ModelSpan"]):
    """The span of one exchange, and the current one while it is entered.

    Its context is asynchronous for the sake of the `async with` that it shares with the exchange; it waits for nothing.
    """

    def __init__(self, span: Span, *, stream: bool, content: AnswerContent | None) -> None:
        self._span = span
        self._token: Token[Context] | None = None
        self._ended = False
        self._content = content
        self._attributes: dict[str, AttributeValue] = {}
        self._awaits_first = stream
        self._begun_s = time.perf_counter()

    async def __aenter__(self) -> Self:
        self._token = contexts.attach(trace.set_span_in_context(self._span))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._token is not None:
            contexts.detach(self._token)
        # Whoever leaves after the end has the whole answer.
        if not self._ended:
            self._attributes["error.type"] = _reason(error)
            # That its caller broke an exchange off is no failure of the provider's.
            if error is None or isinstance(error, Exception):
                self._span.set_status(_FAILED)
        if self._content is not None:
            self._attributes |= self._content.attributes()
        self._span.set_attributes(self._attributes)
        self._span.end()

    def took(self, events: Sequence[Event]) -> None:
        """Notes what the model sent. The answer's end is among the last events."""
        if self._awaits_first and any(event.WhichOneof("payload") not in _NO_CHUNKS for event in events):
            self._awaits_first = False
            self._attributes["gen_ai.response.time_to_first_chunk"] = round(time.perf_counter() - self._begun_s, 6)
        if self._content is not None:
            for event in events:
                self._content.add(event)
        if events[-1].HasField("completed"):
            self._ended = True
            self._attributes |= _answered(events[-1].completed)


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "PROVIDER_PROTOCOL_ERROR"  # the answer stopped without its end
    if isinstance(error, AntiphonError):
        return Reason.Name(error.reason).removeprefix(_REASON_PREFIX)
    return "INTERNAL" if isinstance(error, Exception) else "CANCELLED"


def _asked(spec: CompletionSpec, provider: str, model_id: str, *, stream: bool) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model_id,
        "gen_ai.request.stream": stream,
    }
    for field, value in spec.sampling.ListFields():
        if name := _PARAMETERS.get(field.name):
            attributes[name] = tuple(value) if field.name == "stop" else value
    if spec.HasField("response_format"):
        attributes["gen_ai.output.type"] = "text" if spec.response_format.WhichOneof("format") == "text" else "json"
    return attributes


_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "stop": "gen_ai.request.stop_sequences",
    "seed": "gen_ai.request.seed",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
}


def _answered(completed: Completed) -> dict[str, AttributeValue]:
    reason = completed.provider_finish_reason or FinishReason.Name(completed.finish_reason).removeprefix(_FINISH_PREFIX).lower()
    attributes: dict[str, AttributeValue] = {"gen_ai.response.finish_reasons": (reason,)}
    if completed.HasField("usage"):
        attributes |= _used(completed.usage)
    return attributes


def _used(usage: Usage) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
    }
    if usage.cache_read_tokens:
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        attributes["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    return attributes
