"""When a failed call is made again: only where that cannot do, or bill, anything twice."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from antiphon_client.contract import core
from antiphon_client.errors import AntiphonError, CallCancelledError, ServerUnreachableError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

# A server that gives one of these has done nothing of the call.
_NOTHING_DONE = frozenset({core.ErrorReason.SERVER_DRAINING, core.ErrorReason.TOO_MANY_CALLS, core.ErrorReason.SERVER_OVERLOADED})
# What the gRPC core of a server says, all by itself, to a call that came after its shutdown had begun and before this client had heard of that. No handler
# has seen such a call: whatever an Antiphon server ends, it ends with a reason.
_CAME_TOO_LATE = "CANCELLED"
BASE_DELAY_S = 0.1
MAX_DELAY_S = 5.0
# A channel that could not connect fails every call until it has tried again, which it does after a tenth of a second, give or take a fifth.
RECONNECT_DELAY_S = 0.15


class RetrySchedule:
    """The attempts of one call.

    A call without side effects is made again whenever the server is unavailable. Any other is made again only when the server surely did no work: no
    connection came about, the server said that it is draining or has no room, and when to come back, or the call reached a server that was shutting down.

    Waits grow exponentially and are drawn at random below their bound ("full jitter"), so that clients that failed together do not return together; a
    delay that the server named is the least wait. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Args:
        no_side_effects: Whether the method may be called again without harm.
        retries: How many attempts may follow the first.
        timeout_s: Time for all attempts together; None means no bound.
        clock: Monotonic time in seconds.
        uniform: Draws a number between two bounds.
    """

    def __init__(
        self,
        *,
        no_side_effects: bool,
        retries: int,
        timeout_s: float | None,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._no_side_effects = no_side_effects
        self._retries = retries
        self._deadline_s = None if timeout_s is None else clock() + timeout_s
        self._clock = clock
        self._uniform = uniform
        self._failures = 0

    @property
    def remaining_s(self) -> float | None:
        """Time left for the next attempt; None means no bound."""
        return None if self._deadline_s is None else max(0.0, self._deadline_s - self._clock())

    def wait_before_retry_s(self, error: AntiphonError) -> float | None:
        """Notes a failure. Returns how long to wait before the next attempt, or None when there must be none."""
        self._failures += 1
        if self._failures > self._retries or not self._may_repeat(error):
            return None
        wait_s = self._uniform(0.0, min(MAX_DELAY_S, BASE_DELAY_S * 2**self._failures))
        if error.retry_after_s is not None:
            wait_s += error.retry_after_s
        elif isinstance(error, ServerUnreachableError):
            wait_s += RECONNECT_DELAY_S
        remaining_s = self.remaining_s
        return wait_s if remaining_s is None or wait_s < remaining_s else None

    def _may_repeat(self, error: AntiphonError) -> bool:
        if isinstance(error, ServerUnreachableError):
            return True
        if isinstance(error, CallCancelledError):
            return error.message == _CAME_TOO_LATE and not error.reason
        if error.known_reason in _NOTHING_DONE and error.retry_after_s is not None:
            return True
        if not isinstance(error, UnavailableError):
            return False
        return self._no_side_effects
