"""The W3C trace context: in with a call, out with a request to a provider."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

TRACE_PARENT = "traceparent"
TRACE_STATE = "tracestate"
_BAGGAGE = "baggage"
# Sampled, and random.
_KNOWN_FLAGS = 3
_TRACE_CONTEXT = TraceContextTextMapPropagator()
_BAGGAGE_CONTEXT = W3CBaggagePropagator()

# They warn of every header that they cannot read, word for word: any caller could fill the log.
for _name in ("opentelemetry.trace.propagation.tracecontext", "opentelemetry.trace.span", "opentelemetry.baggage.propagation"):
    logging.getLogger(_name).setLevel(logging.ERROR)


def remote_context(metadata: Mapping[str, str]) -> Context | None:
    """Returns the caller's context; None where it sent none that can be read."""
    if TRACE_PARENT not in metadata:
        return None
    context = _TRACE_CONTEXT.extract(metadata)
    if not trace.get_current_span(context).get_span_context().is_valid:
        return None
    return _BAGGAGE_CONTEXT.extract(metadata, context) if _BAGGAGE in metadata else context


def trace_headers() -> Mapping[str, str]:
    """Returns the headers that continue the current trace elsewhere; none where there is no trace. Baggage stays here: it is the caller's."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    headers = {TRACE_PARENT: f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & _KNOWN_FLAGS:02x}"}
    if context.trace_state:
        headers[TRACE_STATE] = context.trace_state.to_header()
    return headers


def current_trace() -> tuple[str, str] | None:
    """Returns the ids of the current trace and span, for the log; None where there is no trace."""
    context = trace.get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None
