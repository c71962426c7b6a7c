"""Which calls are being worked on: a server that drains waits for them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


class InFlight:
    """The tasks of calls in progress.

    grpc.aio's own stop does not wait for the handlers that it aborts (grpc#37239), so they are kept here.

    Attributes:
        draining: Whether the server drains, so that a late call can be refused.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()
        self.draining = False
        self._ending = False

    @contextmanager
    def entered(self) -> Generator[None]:
        """Counts the current task in."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    def __len__(self) -> int:
        return len(self._tasks)

    async def drain(self, grace_s: float) -> None:
        """Says from now on that the server drains, and waits until those in progress are done, at most for the grace."""
        self.draining = True
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=grace_s)

    def ended_here(self) -> bool:
        """Says whether the current task was cancelled by `cancel` and by nobody else; it can then go on to tell its caller."""
        task = asyncio.current_task()
        return self._ending and task is not None and task.uncancel() == 0

    async def cancel(self, timeout_s: float = 2.0) -> None:
        """Cancels what is still in progress and waits for it to end, at most for so long."""
        self._ending = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
