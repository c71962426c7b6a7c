"""The spans themselves: what the OpenTelemetry API asks of one, and no more.

The SDK's own span costs 40 us before it is exported, most of it for checks of attributes that this server makes itself; these cost a tenth. Its sampler, its
resource and its ids are the SDK's. See docs/decisions/0010.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.util.types import AttributeValue

# What a plugin adds to the current span is bounded like that.
_MOST_ATTRIBUTES = 128
# Sampled, by an id that is random in all its bits: the second version of the W3C's recommendation has a flag for it.
_DRAWN = TraceFlags(TraceFlags.SAMPLED | 2)


class RecordedSpan(Span):
    """A span that is exported once it ends.

    Attributes:
        name: What is done.
        kind: Which side of an exchange it is.
        context: Its ids.
        parent: The ids of the span that it is part of.
        attributes: What is known of it.
        failed: Whether its status is an error.
        start_ns: When it began, in nanoseconds since 1970.
        end_ns: When it ended; 0 before.
    """

    def __init__(  # noqa: PLR0917  # made twice a call: names would cost as much as the rest
        self,
        name: str,
        kind: SpanKind,
        trace_id: int,
        parent: SpanContext | None,
        attributes: dict[str, AttributeValue],
        ended: Callable[[RecordedSpan], None],
    ) -> None:
        """Begins it.

        Args:
            name: What is done.
            kind: Which side of an exchange it is.
            trace_id: The trace that it belongs to.
            parent: The ids of the span that it is part of.
            attributes: What is known of it; the span's own from now on.
            ended: Takes it once it ends.
        """
        self.name = name
        self.kind = kind
        self.parent = parent
        flags, state = (_DRAWN, None) if parent is None else (parent.trace_flags, parent.trace_state)
        self.context = SpanContext(trace_id, _span_id(), False, flags, state)  # noqa: FBT003  # the API's order
        self.attributes = attributes
        self.failed = False
        self.start_ns = time.time_ns()
        self.end_ns = 0
        self._ended = ended

    def end(self, end_time: int | None = None) -> None:
        """Ends it; what is set later is lost."""
        if not self.end_ns:
            self.end_ns = end_time or time.time_ns()
            self._ended(self)

    def get_span_context(self) -> SpanContext:
        """Returns its ids."""
        return self.context

    def is_recording(self) -> bool:
        """Whether it still takes what is known of it."""
        return not self.end_ns

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Notes facts."""
        if not self.end_ns and len(self.attributes) < _MOST_ATTRIBUTES:
            self.attributes.update(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Notes a fact."""
        self.set_attributes({key: value})

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Notes whether it failed. Descriptions are not kept: `error.type` says why, and never by somebody's own words."""
        del description
        code = status if isinstance(status, StatusCode) else status.status_code
        self.failed = code is StatusCode.ERROR

    def update_name(self, name: str) -> None:
        """Names it anew."""
        self.name = name

    def add_event(self, name: str, attributes: object = None, timestamp: int | None = None) -> None:
        """Keeps nothing: spans of this server have no events."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: object = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002  # the API's signature
    ) -> None:
        """Keeps nothing: what an exception says may hold what a caller or a provider sent."""


def _span_id() -> int:
    return random.getrandbits(64) or 1
