"""The caller's deadline becomes the provider's, less a margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.errors import DeadlineError, Reason

if TYPE_CHECKING:
    from antiphon.calls.call import Handler, IncomingCall, Send

# Less than this is not enough for a provider's answer to travel back.
_LEAST_S = 0.002


class Deadline:
    """Refuses calls whose time is up, and leaves time to tell the caller what happened before its own clock runs out."""

    def __init__(self, *, margin_s: float) -> None:
        self._margin_s = margin_s

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Notes by when the call must be done.

        Raises:
            DeadlineError: The deadline is past, or as good as past (DEADLINE_ALREADY_PAST).
        """
        left_s = call.time_left_s
        if left_s is not None:
            if left_s < _LEAST_S:
                raise DeadlineError(Reason.ERROR_REASON_DEADLINE_ALREADY_PAST, "the call's deadline was past when it arrived")
            call.deadline_s = call.arrived_s + left_s - min(self._margin_s, left_s / 10)
        await rest(call, send)
