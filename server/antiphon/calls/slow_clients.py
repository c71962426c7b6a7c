"""Calls whose clients keep them waiting are ended, so that what they hold is held for a bounded time.

For a port: enter `watching()` around a streaming call, and note with what it gives which message waits for its reader:

    with slow_readers.watching() as reader:
        async def send(message):
            reader.awaited_for = message
            try:
                await write(message)
            except asyncio.CancelledError:
                reader.raise_if_evicted()
                raise
            reader.awaited_for = None

An evicted call gets `SlowReaderError` out of its `send`: the handler ends, with it the provider's connection, and the port closes the call with the error's
status. A message pays for two attributes; the time is taken by one look a second over all calls, not by a timer each.

A client that does not send its request is watched in the same way; what it is told is its port's matter, by `ended_here`.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from antiphon.errors import Reason, SlowReaderError

if TYPE_CHECKING:
    from collections.abc import Generator

_LOOK_S = 1.0


class SlowClient:
    """One call's client, as its port sees it.

    Attributes:
        awaited_for: What waits for the client now, a message that it should take or a request that it should send; None where nothing does.
        evicted: Whether the call was ended because of it.
        timeout_s: How long that may wait, in seconds.
    """

    __slots__ = ("_seen", "_since_s", "_task", "awaited_for", "evicted", "timeout_s")

    def __init__(self, task: asyncio.Task[object], timeout_s: float) -> None:
        self.awaited_for: object = None
        self.evicted = False
        self.timeout_s = timeout_s
        self._task = task
        self._seen: object = None
        self._since_s = 0.0

    def look(self, now_s: float) -> None:
        """Notes whether the same thing still waits, and ends the call when it has for too long."""
        waiting = self.awaited_for
        if waiting is None or self.evicted:
            self._seen = None
        elif waiting is not self._seen:
            self._seen, self._since_s = waiting, now_s
        elif now_s - self._since_s >= self.timeout_s:
            self.evicted = True
            self._task.cancel()

    def ended_here(self) -> bool:
        """Says whether the call's task was cancelled by `look` and by nobody else."""
        return self.evicted and self._task.uncancel() == 0

    def raise_if_evicted(self) -> None:
        """Turns the cancellation of an evicted stream into what its caller is told; does nothing when somebody else cancelled.

        Raises:
            SlowReaderError: The stream was ended here (SLOW_READER).
        """
        if self.ended_here():
            timeout_ms = round(self.timeout_s * 1000)
            raise SlowReaderError(
                Reason.ERROR_REASON_SLOW_READER,
                f"no event was taken for {self.timeout_s:g} s, and the stream was ended; read while it is sent",
                metadata={"timeout_ms": str(timeout_ms)},
            ) from None


class SlowClients:
    """All calls that could be kept waiting, looked at together."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._look_s = min(_LOOK_S, timeout_s / 4)
        self._clients: set[SlowClient] = set()
        self._looking = False

    @contextmanager
    def watching(self) -> Generator[SlowClient]:
        """Watches the client of the call that the current task serves."""
        task = asyncio.current_task()
        assert task is not None
        client = SlowClient(task, self.timeout_s)
        self._clients.add(client)
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(self._look_s, self._look)
        try:
            yield client
        finally:
            self._clients.discard(client)

    def __len__(self) -> int:
        return len(self._clients)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for client in tuple(self._clients):
            client.look(now_s)
        if self._clients:
            loop.call_later(self._look_s, self._look)
        else:
            self._looking = False
