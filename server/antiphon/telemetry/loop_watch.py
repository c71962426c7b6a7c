"""How late the event loop is, and how many tasks it has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.telemetry.metrics import Metrics

_LOOK_S = 0.25


class LoopWatch:
    """Sets an alarm four times a second and notes by how much the loop misses it: so long did everything else wait, too."""

    def __init__(self, metrics: Metrics) -> None:
        self._lag = metrics.loop_lag_seconds.labels()
        self._tasks = metrics.tasks.labels()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins, on the running loop."""
        loop = self._loop = asyncio.get_running_loop()
        # Asked from the thread of a scrape, for which the library's own loop over its tasks is made.
        self._tasks.read = lambda: len(asyncio.all_tasks(loop))
        self._set(loop)

    def close(self) -> None:
        """Stops."""
        self._tasks.read = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        due_s = loop.time() + _LOOK_S
        self._timer = loop.call_at(due_s, self._look, loop, due_s)

    def _look(self, loop: asyncio.AbstractEventLoop, due_s: float) -> None:
        self._lag.observe(max(0.0, loop.time() - due_s))
        self._set(loop)
