"""The steps that calls pass, one module each. Their order is declared once, here; nothing in them knows a transport."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.rpc.interceptors.access import Access
from antiphon.rpc.interceptors.deadline import Deadline
from antiphon.rpc.interceptors.decoding import Decoding
from antiphon.rpc.interceptors.draining import Draining
from antiphon.rpc.interceptors.validation import Validation

if TYPE_CHECKING:
    from antiphon.config import Config
    from antiphon.rpc.call import Interceptor
    from antiphon.rpc.in_flight import InFlight
    from antiphon.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Steps:
    """The interceptors, outermost first. The error guard stands around them all, in `antiphon.rpc.guard`.

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
