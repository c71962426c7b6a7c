"""The steps that calls pass, one module each. Their order is declared once, here; nothing in them knows a transport."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon.calls.interceptors.access import Access
from antiphon.calls.interceptors.authentication import Authentication
from antiphon.calls.interceptors.deadline import Deadline
from antiphon.calls.interceptors.decoding import Decoding
from antiphon.calls.interceptors.draining import Draining
from antiphon.calls.interceptors.validation import Validation

if TYPE_CHECKING:
    from antiphon.calls.call import Interceptor
    from antiphon.calls.in_flight import InFlight
    from antiphon.calls.interceptors.admission import Admission
    from antiphon.config import Config
    from antiphon.identity.directory import CallerDirectory
    from antiphon.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Steps:
    """The interceptors, outermost first. The error guard stands around them all, in `antiphon.calls.guard`.

    Attributes:
        of_calls: What every call passes, whether or not there is such a method.
        of_requests: What a call passes behind them; they need its method's request.
        of_standard_calls: What calls of the standard services pass, which are answered while the server drains, too. Those for health
            have a bound of their own, so that they are answered while it is full.
        of_public_standard_calls: The same where the configuration has the service public: nobody is asked who calls.
        admission: The one among them that ports ask before they read a call's request; None where calls are not counted.
    """

    of_calls: list[Interceptor]
    of_requests: list[Interceptor]
    of_standard_calls: list[Interceptor] = field(default_factory=list["Interceptor"])
    of_public_standard_calls: list[Interceptor] = field(default_factory=list["Interceptor"])
    admission: Admission | None = None


def in_order(
    config: Config,
    metrics: Metrics,
    in_flight: InFlight,
    callers: CallerDirectory,
    *,
    admission: Admission | None = None,
    tracing: Interceptor | None = None,
) -> Steps:
    """Makes the interceptors. What is switched off is no step at all.

    Args:
        config: The configuration.
        metrics: Where calls are counted.
        in_flight: The calls in progress.
        callers: Who may call.
        admission: The step that holds the limits; None where calls are not counted.
        tracing: The step that gives calls their spans; None where traces are off.
    """
    traced = [tracing] if tracing is not None else []
    access = Access(metrics, log_calls=config.log.access)
    # A server that asks nobody who they are does not pay for asking.
    authentication = [Authentication(callers)] if callers.asks else []
    admitted = [admission] if admission is not None else []
    return Steps(
        of_calls=[
            *traced,
            access,
            Draining(in_flight),
            Deadline(margin_s=config.server.deadline_margin_s),
            *authentication,
            *admitted,
        ],
        of_requests=[
            Decoding(limit_bytes=config.server.max_request_bytes),
            Validation(),
        ],
        of_standard_calls=[*traced, access, *authentication, *admitted],
        of_public_standard_calls=[*traced, access, *admitted],
        admission=admission,
    )
