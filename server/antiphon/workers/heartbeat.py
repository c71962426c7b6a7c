"""Finds a worker that hangs: it does not end, so nothing would replace it, and the kernel goes on giving it its share of the new connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from antiphon.workers.worker_process import WorkerError

if TYPE_CHECKING:
    from antiphon.workers.worker_process import WorkerProcess

ALIVE = "alive"
_EVERY_S = 5.0
_ANSWER_TIMEOUT_S = 5.0
# One is not enough: it may be who asks that got no time, and then time is up when the answer is already there.
_MOST_MISSES = 2


async def hanging(process: WorkerProcess) -> bool:
    """Asks a worker again and again whether it is alive; returns True once it does not answer, False once it is gone."""
    missed = 0
    while missed < _MOST_MISSES:
        try:
            await process.ask(ALIVE, timeout_s=_ANSWER_TIMEOUT_S)
        except WorkerError as error:
            if not isinstance(error.__cause__, TimeoutError):
                return False
            missed += 1
        else:
            missed = 0
            await asyncio.sleep(_EVERY_S)
    return True
