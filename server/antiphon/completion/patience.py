"""How long a provider may keep a stream waiting."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from antiphon.errors import AntiphonError, DeadlineError, ProviderFailure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.api.core.v1.event_pb2 import Event


class Patience:
    """Bounds each wait for a provider: for its first events, for the next ones, and by the call's deadline.

    Only waiting counts: while the caller is slow to take an event, no time runs. One timer serves a whole stream and is moved only when it fires
    or must fire sooner, because a timer a token costs more than the token's own work.
    """

    def __init__(self, *, first_token_timeout_s: float, idle_timeout_s: float, deadline_s: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit_s = first_token_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._deadline_s = deadline_s
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._expires_s = 0.0
        self._expired = False
        self._waiting = False
        self._streaming = False

    async def next(self, batches: AsyncGenerator[list[Event], None]) -> list[Event]:
        """Returns the next events.

        Raises:
            StopAsyncIteration: There are none.
            ProviderFailure: They did not come in time (FIRST_TOKEN_TIMEOUT, IDLE_TIMEOUT).
            DeadlineError: The call's deadline came first.
        """
        self._arm()
        try:
            batch = await anext(batches)
        except asyncio.CancelledError:
            # As in asyncio.timeout: a cancellation from outside goes before ours.
            if self._expired and self._task is not None and self._task.uncancel() == 0:
                raise self._failure() from None
            raise
        finally:
            self._waiting = False
        if not self._streaming:
            self._streaming = True
            self._limit_s = self._idle_timeout_s
        return batch

    def close(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._expires_s = self._loop.time() + self._limit_s
        if self._deadline_s is not None and self._deadline_s < self._expires_s:
            self._expires_s = self._deadline_s
        self._waiting = True
        if self._timer is None or self._timer.when() > self._expires_s:
            self.close()
            self._task = asyncio.current_task()
            self._timer = self._loop.call_at(self._expires_s, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        if self._loop.time() < self._expires_s:
            self._timer = self._loop.call_at(self._expires_s, self._fire)
        elif self._task is not None:
            self._expired = True
            self._task.cancel()

    def _failure(self) -> AntiphonError:
        if self._deadline_s is not None and self._expires_s == self._deadline_s:
            return DeadlineError(Reason.ERROR_REASON_DEADLINE_EXCEEDED, "the call's deadline came before the provider was done")
        metadata = {"timeout_ms": str(round(self._limit_s * 1000))}
        if self._streaming:
            message = f"the provider fell silent for {self._limit_s:g} s in mid-stream"
            return ProviderFailure(Reason.ERROR_REASON_IDLE_TIMEOUT, message, metadata=metadata)
        message = f"the provider sent nothing within {self._limit_s:g} s"
        return ProviderFailure(Reason.ERROR_REASON_FIRST_TOKEN_TIMEOUT, message, metadata=metadata)
