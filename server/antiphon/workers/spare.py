"""A worker that has imported everything and waits: it takes a dead one's place at once, where a new process would have to import first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from antiphon.telemetry.logs import logger
from antiphon.workers.back_off import BackOff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from antiphon.workers.worker_process import WorkerProcess

# The machine has no process or no memory to give.
_FAILED_SPAWN_WAIT_S = 5.0


class Spare:
    """The one process that waits."""

    def __init__(self, spawn: Callable[[], Awaitable[WorkerProcess]]) -> None:
        self._spawn = spawn
        self._process: WorkerProcess | None = None
        self._changed = asyncio.Event()
        self._back_off = BackOff()

    async def keep(self) -> None:
        """Sees to it that there is one, for as long as it runs."""
        while True:
            self._changed.clear()
            try:
                process = self._process or await self._made()
            except OSError as error:
                # Without one a dead worker takes longer to be back, and that is all.
                logger("antiphon.workers").warning("no spare worker", why=str(error), tries_again_in_s=_FAILED_SPAWN_WAIT_S)
                await asyncio.sleep(_FAILED_SPAWN_WAIT_S)
                continue
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait((process.ended, changed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            if self._process is process:
                self._process = None
                await asyncio.sleep(self._back_off.wait_after_death_s(0.0))

    def take(self) -> WorkerProcess | None:
        """Returns it, if there is one; another is made ready then."""
        process, self._process = self._process, None
        self._changed.set()
        return process if process is not None and process.is_running else None

    async def renew(self) -> None:
        """Makes one ready that imports what is installed now, and only then ends the one that was there: there is no time without.

        Raises:
            OSError: No process can be made.
        """
        fresh = await self._spawn()
        imported = asyncio.create_task(fresh.imported.wait())
        await asyncio.wait((fresh.ended, imported), return_when=asyncio.FIRST_COMPLETED)
        imported.cancel()
        old, self._process = self._process, fresh
        self._changed.set()
        if old is not None:
            await old.end()

    async def _made(self) -> WorkerProcess:
        made = await self._spawn()
        if self._process is not None:
            # `renew` was faster.
            await made.end()
            return self._process
        self._process = made
        return made
