"""Spans for a person to read: a line of the log each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.telemetry.spans import RecordedSpan

# What a line has room for.
_SHOWN = {
    "rpc.response.status_code": "code",
    "error.type": "error",
    "gen_ai.response.model": "model",
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
}


class ConsoleSpans:
    """Writes finished spans to the log."""

    def __init__(self) -> None:
        self._log = logger("antiphon.traces")

    def take(self, spans: Sequence[RecordedSpan], timeout_s: float) -> None:
        """Writes a line a span."""
        del timeout_s
        for span in spans:
            facts = {short: span.attributes[name] for name, short in _SHOWN.items() if name in span.attributes}
            duration_ms = (span.end_ns - span.start_ns) / 1e6
            parent = "" if span.parent is None else f"{span.parent.span_id:016x}"
            self._log.info(
                "span",
                name=span.name,
                duration_ms=round(duration_ms, 2),
                status="error" if span.failed else "unset",
                **facts,
                trace_id=f"{span.context.trace_id:032x}",
                span_id=f"{span.context.span_id:016x}",
                parent_span_id=parent,
            )

    def close(self) -> None:
        """Does nothing: the log is its owner's to close."""
