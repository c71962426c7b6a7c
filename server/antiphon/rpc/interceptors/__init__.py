"""The steps that every call passes, one module each. Their order is declared once, here; nothing in them knows a transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.rpc.interceptors.access import Access
from antiphon.rpc.interceptors.deadline import Deadline
from antiphon.rpc.interceptors.decoding import Decoding
from antiphon.rpc.interceptors.validation import Validation

if TYPE_CHECKING:
    from antiphon.config import Config
    from antiphon.rpc.call import Interceptor
    from antiphon.telemetry.metrics import Metrics


def in_order(config: Config, metrics: Metrics) -> list[Interceptor]:
    """Returns the interceptors, outermost first. The error guard stands around them all, in `antiphon.rpc.guard`."""
    return [
        Access(metrics, log_calls=config.log.access),
        Deadline(margin_s=config.server.deadline_margin_s),
        Decoding(limit_bytes=config.server.max_request_bytes),
        Validation(),
    ]
