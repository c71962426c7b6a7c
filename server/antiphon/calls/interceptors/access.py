"""The access log and the call metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from antiphon.calls.status import CODES, code_name, reason_name
from antiphon.errors import AntiphonError, Reason
from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from antiphon.calls.call import Handler, IncomingCall, Send
    from antiphon.telemetry.metrics import Metrics


class Access:
    """Counts and logs each call with its outcome. Neither requests nor answers are logged."""

    def __init__(self, metrics: Metrics, *, log_calls: bool) -> None:
        self._metrics = metrics
        self._log = logger("antiphon.access") if log_calls else None
        # Looking labels up costs more than counting: the children are kept.
        self._outcomes: dict[tuple[str, str, str], Counter] = {}
        self._durations: dict[str, Histogram] = {}
        self._messages: dict[str, Counter] = {}

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Runs the rest of the chain and notes how it ended."""
        self._metrics.calls_in_progress.inc()
        code, reason = "INTERNAL", "INTERNAL"
        try:
            await rest(call, send)
            code, reason = "OK", ""
        except AntiphonError as error:
            code, reason = code_name(CODES[error.reason]), reason_name(error.reason)
            raise
        except asyncio.CancelledError:
            code, reason = "CANCELLED", reason_name(Reason.ERROR_REASON_CANCELLED)
            raise
        finally:
            self._note(call, code, reason)

    def _note(self, call: IncomingCall, code: str, reason: str) -> None:
        method = call.method.name
        duration_s = asyncio.get_running_loop().time() - call.arrived_s
        self._metrics.calls_in_progress.dec()
        key = (method, code, reason)
        if key not in self._outcomes:
            self._outcomes[key] = self._metrics.calls.labels(*key)
            self._durations[method] = self._metrics.call_seconds.labels(method)
            self._messages[method] = self._metrics.messages_sent.labels(method)
        self._outcomes[key].inc()
        self._durations[method].observe(duration_s)
        self._messages[method].inc(call.messages_sent)
        if self._log is not None:
            self._log.info(
                "call",
                call_id=call.call_id,
                method=method,
                code=code,
                reason=reason,
                duration_ms=round(duration_s * 1000, 2),
                messages=call.messages_sent,
                **call.context.facts,
            )
