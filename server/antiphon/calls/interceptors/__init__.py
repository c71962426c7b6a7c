"""The steps that calls pass, one module each. Their order is declared once, here; nothing in them knows a transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.calls.interceptors.access import Access
from antiphon.calls.interceptors.deadline import Deadline
from antiphon.calls.interceptors.decoding import Decoding
from antiphon.calls.interceptors.draining import Draining
from antiphon.calls.interceptors.validation import Validation

if TYPE_CHECKING:
    from antiphon.calls.call import Interceptor
    from antiphon.calls.in_flight import InFlight
    from antiphon.config import Config
    from antiphon.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Steps:
    """The interceptors, outermost first. The error guard stands around them all, in `antiphon.calls.guard`.

    Attributes:
        of_calls: What every call passes, whether or not there is such a method.
        of_requests: What a call passes behind them; they need its method's request.
    """

    of_calls: list[Interceptor]
    of_requests: list[Interceptor]


def in_order(config: Config, metrics: Metrics, in_flight: InFlight) -> Steps:
    """Makes the interceptors."""
    return Steps(
        of_calls=[
            Access(metrics, log_calls=config.log.access),
            Draining(in_flight),
            Deadline(margin_s=config.server.deadline_margin_s),
        ],
        of_requests=[
            Decoding(limit_bytes=config.server.max_request_bytes),
            Validation(),
        ],
    )
