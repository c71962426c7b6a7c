"""Where this server's spans begin, and how they leave: nothing global. Imported only where traces are switched on."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan

from antiphon.telemetry.release import RELEASE
from antiphon.telemetry.span_queue import GATHER_S, SpanQueue
from antiphon.telemetry.spans import RecordedSpan

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanKind
    from opentelemetry.util.types import AttributeValue

    from antiphon.config import TelemetrySection
    from antiphon.telemetry.span_queue import SpanSink


class Traces:
    """Begins spans and sees them out. A span is sampled as its parent is, and without one by its trace's id, as the SDK's ratio sampler does it."""

    def __init__(self, sink: SpanSink, *, sample_ratio: float, gather_s: float = GATHER_S) -> None:
        self._queue = SpanQueue(sink, gather_s=gather_s)
        self._bound = TraceIdRatioBased.get_bound_for_rate(sample_ratio)

    def begin_root(self, name: str, kind: SpanKind, attributes: dict[str, AttributeValue], trace_id: int) -> Span:
        """Begins the first span of a trace whose id `drawn` gave."""
        return RecordedSpan(name, kind, trace_id, None, attributes, self._queue.put)

    def begin(self, name: str, kind: SpanKind, attributes: dict[str, AttributeValue], context: Context | None = None) -> Span:
        """Begins a span beneath that of a context, the current one by default; where that is not sampled, its ids are passed on and nothing is recorded."""
        parent = trace.get_current_span(context).get_span_context()
        if not parent.trace_flags.sampled:
            return NonRecordingSpan(parent)
        return RecordedSpan(name, kind, parent.trace_id, parent, attributes, self._queue.put)

    def drawn(self) -> int | None:
        """Draws the id of a new trace; None where it is not to be sampled."""
        trace_id = random.getrandbits(128) or 1
        return trace_id if trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound else None

    def start(self) -> None:
        """Begins to send spans."""
        self._queue.start()

    async def close(self) -> None:
        """Sends what is left, for at most 2 s."""
        await asyncio.to_thread(self._queue.close)


def open_traces(section: TelemetrySection, redacted: Callable[[str], str]) -> Traces:
    """Makes what the configuration asks for; nothing is sent yet.

    Args:
        section: Where spans go, and how many.
        redacted: Takes the secrets out of a text; every text of a span passes through it.
    """
    return Traces(_sink(section, redacted), sample_ratio=section.sample_ratio)


def _sink(section: TelemetrySection, redacted: Callable[[str], str]) -> SpanSink:
    if section.traces == "console":
        from antiphon.telemetry.console_spans import ConsoleSpans

        return ConsoleSpans()  # the log has the redactor already
    from antiphon.telemetry.otlp import OtlpSpans
    from antiphon.telemetry.otlp_spans import SpanEncoder

    headers = {name.lower(): value.get_secret_value() for name, value in section.otlp_headers.items()}
    return OtlpSpans(section.otlp_endpoint, headers, SpanEncoder(resource(section.service_name), redacted))


def resource(service_name: str) -> Resource:
    """Describes this server. Made by hand: the SDK's own way reads the environment, which is the configuration's to read."""
    return Resource({"service.name": service_name, "service.version": RELEASE, "service.instance.id": str(uuid.uuid4())})
