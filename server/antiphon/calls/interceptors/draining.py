"""A server that drains takes no new calls, and tells those that outlast its grace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from antiphon.errors import Reason, UnavailableError

if TYPE_CHECKING:
    from antiphon.calls.call import Handler, IncomingCall, Send
    from antiphon.calls.in_flight import InFlight


class Draining:
    """Refuses calls that come once the server drains, and turns the drain's cancellation into what the caller is told."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Runs the rest of the chain unless the server drains.

        Raises:
            UnavailableError: It drains, or the grace was over before the call was (SERVER_DRAINING).
        """
        if self._in_flight.draining:
            raise server_draining()
        try:
            await rest(call, send)
        except asyncio.CancelledError:
            if self._in_flight.ended_here():
                raise server_draining() from None
            raise


def server_draining() -> UnavailableError:
    """Makes what the callers of a server that drains are told."""
    return UnavailableError(
        Reason.ERROR_REASON_SERVER_DRAINING, "the server is shutting down; ask again, another replica will answer", retry_after_s=0.1
    )
