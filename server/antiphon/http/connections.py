"""One HTTP/1.1 connection: uvicorn's, with bounds on time, the client's certificate, and a way to cut it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from antiphon.http.asgi import ABORT, CERTIFICATE_NAMES
from antiphon.identity.certificate_names import names_in_ssl

if TYPE_CHECKING:
    import asyncio

# How long a request's head may take, and what comes of a body behind its answer.
HEAD_TIMEOUT_S = 15.0
# How much longer than a stream's reader, who is told, a client may take nothing of what is written for it.
_BEYOND_READERS_S = 30.0


class Connection(H11Protocol):
    """A connection whose client is not waited for without end.

    uvicorn bounds how long a connection may idle between requests, and waits for ever for one that has begun to send a head, or goes on sending a body whose
    request was refused, or takes nothing of its answers.
    """

    head_timeout_s = HEAD_TIMEOUT_S

    def __init__(self, *args: Any, slow_reader_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stalled_s = slow_reader_s + _BEYOND_READERS_S
        self._late: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # as uvicorn's own
        """Takes a new connection."""
        super().connection_made(transport)
        names = tuple(names_in_ssl(transport.get_extra_info("peercert")))
        self.app_state = {**self.app_state, CERTIFICATE_NAMES: names, ABORT: transport.abort}
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Takes what came."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:  # pyright: ignore[reportUnnecessaryComparison]  # None until the first request
            self._wait_for_head()
        elif self._late is not None:
            self._late.cancel()
            self._late = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Takes the end."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Takes that the client does not keep up."""
        super().pause_writing()
        self._taken()
        self._stalled = self.loop.call_later(self._stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Takes that it does again."""
        self._taken()
        super().resume_writing()

    def _taken(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _wait_for_head(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_timeout_s, self._cut_late)

    def _cut_late(self) -> None:
        self._late = None
        self.transport.abort()
