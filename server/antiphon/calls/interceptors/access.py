"""The access log and the call metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from antiphon.calls.outcome import WENT_WELL, outcome_of
from antiphon.ports.call import LOCAL_OWNER
from antiphon.telemetry.logs import loggable, logger

if TYPE_CHECKING:
    from antiphon.calls.call import Handler, IncomingCall, Send
    from antiphon.calls.outcome import Outcome
    from antiphon.telemetry.instruments import Count, Distribution, Level
    from antiphon.telemetry.metrics import Metrics

REQUEST_ID = "x-request-id"


class Access:
    """Counts and logs each call with its outcome. Neither requests nor answers are logged."""

    def __init__(self, metrics: Metrics, *, log_calls: bool) -> None:
        self._metrics = metrics
        self._log = logger("antiphon.access") if log_calls else None
        # Looking labels up costs more than counting: the children are kept.
        self._outcomes: dict[tuple[str, Outcome], Count] = {}
        self._methods: dict[str, tuple[Level, Distribution, Count]] = {}

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Runs the rest of the chain and notes how it ended."""
        in_progress, duration, messages = self._methods.get(call.method.name) or self._children(call.method.name)
        in_progress.inc()
        outcome = WENT_WELL
        try:
            await rest(call, send)
        except BaseException as error:
            outcome = outcome_of(error, call)
            raise
        finally:
            in_progress.dec()
            duration_s = asyncio.get_running_loop().time() - call.arrived_s
            duration.observe(duration_s)
            messages.inc(call.messages_sent)
            self._count(call.method.name, outcome).inc()
            if self._log is not None:
                self._log.info("call", **_line(call, outcome, duration_s))

    def _children(self, method: str) -> tuple[Level, Distribution, Count]:
        metrics = self._metrics
        children = (metrics.calls_in_progress.labels(method), metrics.call_seconds.labels(method), metrics.messages_sent.labels(method))
        self._methods[method] = children
        return children

    def _count(self, method: str, outcome: Outcome) -> Count:
        key = (method, outcome)
        count = self._outcomes.get(key)
        if count is None:
            count = self._outcomes[key] = self._metrics.calls.labels(method, outcome.code, outcome.reason)
        return count


def _line(call: IncomingCall, outcome: Outcome, duration_s: float) -> dict[str, Any]:
    line: dict[str, Any] = {
        "call_id": call.call_id,
        "method": call.method.name,
        "code": outcome.code,
        "reason": outcome.reason,
        "duration_ms": round(duration_s * 1000, 2),
        "messages": call.messages_sent,
    }
    caller = call.caller
    if caller is not LOCAL_OWNER:
        line["principal"], line["tenant"] = caller.principal, caller.tenant
        if caller.credential:
            line["credential"] = caller.credential
    request_id = call.metadata.get(REQUEST_ID)
    if request_id is not None:
        line["request_id"] = loggable(request_id)
    line.update(call.facts)
    return line
