"""Streams whose readers stay away are ended, so that what they hold is held for a bounded time.

For a port: enter `watching()` around a streaming call, and note with what it gives which message waits for the reader:

    with slow_readers.watching() as reader:
        async def send(message):
            reader.waiting = message
            try:
                await write(message)
            except asyncio.CancelledError:
                reader.raise_if_evicted()
                raise
            reader.waiting = None

An evicted call gets `SlowReaderError` out of its `send`: the handler ends, with it the provider's connection, and the port closes the call with the error's
status. A message pays for two attributes; the time is taken by one look a second over all streams, not by a timer each.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from antiphon.errors import Reason, SlowReaderError

if TYPE_CHECKING:
    from collections.abc import Generator

_LOOK_S = 1.0


class Reader:
    """One stream's reader, as its port sees it.

    Attributes:
        waiting: The message that waits for the reader now, None where none does.
        evicted: Whether the stream was ended because of it.
        timeout_s: How long a message may wait, in seconds.
    """

    __slots__ = ("_seen", "_since_s", "_task", "evicted", "timeout_s", "waiting")

    def __init__(self, task: asyncio.Task[object], timeout_s: float) -> None:
        self.waiting: object = None
        self.evicted = False
        self.timeout_s = timeout_s
        self._task = task
        self._seen: object = None
        self._since_s = 0.0

    def look(self, now_s: float) -> None:
        """Notes whether the same message still waits, and ends the stream when it has for too long."""
        waiting = self.waiting
        if waiting is None or self.evicted:
            self._seen = None
        elif waiting is not self._seen:
            self._seen, self._since_s = waiting, now_s
        elif now_s - self._since_s >= self.timeout_s:
            self.evicted = True
            self._task.cancel()

    def ended_here(self) -> bool:
        """Says whether the stream's task was cancelled by `look` and by nobody else."""
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


class SlowReaders:
    """All streams in progress, looked at together."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._look_s = min(_LOOK_S, timeout_s / 4)
        self._readers: set[Reader] = set()
        self._looking = False

    @contextmanager
    def watching(self) -> Generator[Reader]:
        """Watches the reader of the stream that the current task serves."""
        task = asyncio.current_task()
        assert task is not None
        reader = Reader(task, self.timeout_s)
        self._readers.add(reader)
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(self._look_s, self._look)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def __len__(self) -> int:
        return len(self._readers)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for reader in tuple(self._readers):
            reader.look(now_s)
        if self._readers:
            loop.call_later(self._look_s, self._look)
        else:
            self._looking = False
