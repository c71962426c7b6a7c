"""The outermost step: nothing internal ever reaches a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.calls.status import internal_error, reason_name, status_of
from antiphon.errors import AntiphonError
from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from google.rpc.status_pb2 import Status

    from antiphon.calls.call import Handler, IncomingCall, Send
    from antiphon.telemetry.redaction import Redactor


async def guarded(handler: Handler, call: IncomingCall, send: Send, redactor: Redactor | None = None) -> Status | None:
    """Runs a call to its end.

    Args:
        handler: What the call passes.
        call: The call.
        send: Where its answers go.
        redactor: Takes secrets out of what its caller is told; None where nothing in the handler knows any.

    Returns:
        None when it went well, else the status to close it with. Cancellation passes through: a handler that swallows it would leak.
    """
    try:
        await handler(call, send)
    except AntiphonError as error:
        if error.__cause__ is not None:
            cause = repr(error.__cause__)
            if redactor is not None:
                # Before it is cut: half a secret would not be known for one.
                cause = redactor.text(cause)
            logger("antiphon.rpc").info("call failed", call_id=call.call_id, reason=reason_name(error.reason), cause=cause[:500])
        return status_of(error, redactor)
    except Exception:  # noqa: BLE001  # the guard is where everything unexpected ends
        logger("antiphon.rpc").exception("unexpected fault", call_id=call.call_id, method=call.method.name)
        return status_of(internal_error(call.call_id))
    return None
