"""How a call ended, in the words of the log, the metrics and the traces."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.calls.status import CODES, code_name, reason_name
from antiphon.errors import AntiphonError, Reason

if TYPE_CHECKING:
    from antiphon.calls.call import IncomingCall


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a call.

    Attributes:
        code: The status code's name, as in `NOT_FOUND`.
        reason: The reason, as ErrorInfo spells it; empty where the call went well.
    """

    code: str
    reason: str


# For calls that do not pass the deadline step.
_MARGIN_S = 0.1

WENT_WELL = Outcome("OK", "")
_BY_REASON = {reason: Outcome(code_name(code), reason_name(reason)) for reason, code in CODES.items()}


def outcome_of(error: BaseException, call: IncomingCall) -> Outcome:
    """Tells the outcome of a call that failed.

    The runtime ends a call whose deadline has come by the same cancellation as one that its caller left; the clock tells them apart.
    """
    if isinstance(error, AntiphonError):
        return _BY_REASON[error.reason]
    if isinstance(error, asyncio.CancelledError):
        return _BY_REASON[Reason.ERROR_REASON_DEADLINE_EXCEEDED if _overdue(call) else Reason.ERROR_REASON_CANCELLED]
    return _BY_REASON[Reason.ERROR_REASON_INTERNAL]


def _overdue(call: IncomingCall) -> bool:
    if call.time_left_s is None:
        return False
    # The caller's clock and the runtime's do not fire together: a call within the deadline step's margin of its end has come to it.
    due_s = call.deadline_s or call.arrived_s + call.time_left_s - min(_MARGIN_S, call.time_left_s / 10)
    return asyncio.get_running_loop().time() >= due_s
