"""A process takes no more calls than it can work on; one more is refused before anything is done for it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.calls.status import code_name, reason_name, status_of
from antiphon.errors import OverloadError, Reason
from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.rpc.status_pb2 import Status

    from antiphon.calls.call import Handler, IncomingCall, RpcMethod, Send
    from antiphon.calls.memory import MemoryWatch
    from antiphon.telemetry.instruments import Count
    from antiphon.telemetry.metrics import Metrics

# Health must be seen while the server is full, so its calls do not count among the others; they have a bound of their own, this times the limit.
_HEALTH_SHARE = 10
# Those who are refused together must not come back together. The status of a refusal is made once for each of these delays and not once a call.
_RETRY_S = (0.25, 1.0)
_DELAYS = 16
_TELLING_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """One way of saying no, its status ready to be sent.

    Attributes:
        error: What is refused; raised anew for each call that meets it inside the chain.
        status: The same as a status.
    """

    error: OverloadError
    status: Status


class Admission:
    """Counts the calls in progress and refuses those beyond the limits.

    A port may ask `refusal` before it reads a call's request and knows its caller: that answer costs next to nothing, and it tells only that the server is
    full. The step in the chain is what holds the limits.
    """

    def __init__(self, *, calls: int, memory: MemoryWatch, metrics: Metrics) -> None:
        self._limit = calls
        self._memory = memory
        self._metrics = metrics
        self._running = 0
        self._running_health = 0
        too_many = OverloadError(
            Reason.ERROR_REASON_TOO_MANY_CALLS,
            f"the server works on {calls} calls, as many as it takes at a time; ask again in a moment, or another replica",
            metadata={"limit": str(calls)},
        )
        overloaded = OverloadError(
            Reason.ERROR_REASON_SERVER_OVERLOADED, "the server runs short of memory; ask again in a moment, or another replica"
        )
        self._too_many = _spread(too_many)
        self._overloaded = _spread(overloaded)
        self._turn = 0
        self._counters: dict[tuple[str, int], Count] = {}
        self._refused: dict[Reason, int] = {}

    @property
    def full(self) -> bool:
        """Whether the next call that counts would be refused."""
        return self._running >= self._limit or (self._memory.short and self._running > 0)

    def refusal(self, method: RpcMethod) -> Refusal | None:
        """Returns how a call that has just arrived is refused, counted and logged as such; None when it may go on to the chain."""
        if not self.full or _is_health(method):
            return None
        refusal = self._next_refusal()
        self._count(method, refusal)
        return refusal

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Runs the rest of the chain if there is room for the call.

        Raises:
            OverloadError: There is not (TOO_MANY_CALLS, SERVER_OVERLOADED).
        """
        if _is_health(call.method):
            await self._health(call, send, rest)
            return
        if not self._memory.looking:
            self._memory.look_on(self._busy)
        # A server without calls always takes one: were its memory held by something else, it would otherwise refuse for ever.
        if self.full:
            raise self._again(self._next_refusal())
        self._running += 1
        try:
            await rest(call, send)
        finally:
            self._running -= 1

    async def _health(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        if self._running_health >= self._limit * _HEALTH_SHARE:
            raise self._again(self._too_many[0])
        self._running_health += 1
        try:
            await rest(call, send)
        finally:
            self._running_health -= 1

    def _busy(self) -> bool:
        return self._running > 0

    def _next_refusal(self) -> Refusal:
        among = self._too_many if self._running >= self._limit else self._overloaded
        self._turn = (self._turn + 1) % _DELAYS
        return among[self._turn]

    def _again(self, refusal: Refusal) -> OverloadError:
        # An exception that is raised twice keeps both tracebacks.
        error = refusal.error
        self._note(error.reason)
        return OverloadError(error.reason, error.message, metadata=error.metadata, retry_after_s=error.retry_after_s)

    def _count(self, method: RpcMethod, refusal: Refusal) -> None:
        """Counts a call that the access step never sees."""
        reason = refusal.error.reason
        key = (method.name, reason)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._metrics.calls.labels(method.name, code_name(refusal.status.code), reason_name(reason))
            self._counters[key] = counter
        counter.inc()
        self._note(reason)

    def _note(self, reason: Reason) -> None:
        if not self._refused:
            asyncio.get_running_loop().call_later(_TELLING_S, self._tell)
        self._refused[reason] = self._refused.get(reason, 0) + 1

    def _tell(self) -> None:
        """Logs what a second's refusals came to: a line for each of them would cost more than the refusals."""
        refused, self._refused = self._refused, {}
        for reason, count in refused.items():
            logger("antiphon.admission").warning("calls refused", reason=reason_name(reason), count=count)


def _is_health(method: RpcMethod) -> bool:
    return method.permission == Permission.PERMISSION_HEALTH_READ


def _spread(error: OverloadError) -> Sequence[Refusal]:
    """Makes a refusal for each delay, in a random order."""
    least_s, most_s = _RETRY_S
    delays_s = [least_s + (most_s - least_s) * step / (_DELAYS - 1) for step in range(_DELAYS)]
    random.shuffle(delays_s)
    made = [OverloadError(error.reason, error.message, metadata=error.metadata, retry_after_s=round(delay_s, 2)) for delay_s in delays_s]
    return [Refusal(one, status_of(one)) for one in made]
