"""What a process holds - tasks, threads, descriptors - and whether a test gave it back."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

_DESCRIPTORS = Path("/proc/self/fd")
_SETTLING_S = 3.0
_STEP_S = 0.01
_LOOP_THREADS = 2


@dataclass(frozen=True)
class Held:
    """What the process held at one moment.

    Attributes:
        threads: Live threads by their identity, with their names.
        descriptors: What each open descriptor leads to, with its number; empty where the system does not tell.
    """

    threads: dict[int | None, str]
    descriptors: dict[str, str]

    @classmethod
    def now(cls) -> Held:
        """Looks."""
        return cls({thread.ident: thread.name for thread in threading.enumerate()}, _descriptors())

    def new_since(self, before: Held) -> list[str]:
        """Names what is held now and was not before. Descriptors are compared by kind and number of each, as their numbers are used again."""
        found = [f"thread {name!r}" for ident, name in self.threads.items() if ident not in before.threads]
        more = Counter(map(_kind, self.descriptors.values())) - Counter(map(_kind, before.descriptors.values()))
        found += [f"{number} x {kind}" for kind, number in sorted(more.items())]
        return found


def left_over(before: Held) -> list[str]:
    """Returns what a test has not given back after a short settling time."""
    found = Held.now().new_since(before)
    if found:
        # What only a reference cycle holds is no leak; collecting at every test would cost more than the tests.
        gc.collect()
    until = time.monotonic() + _SETTLING_S
    while found and time.monotonic() < until:
        time.sleep(_STEP_S)
        found = Held.now().new_since(before)
    return found


async def left_tasks(before: set[asyncio.Task[object]]) -> list[str]:
    """Returns the tasks of this loop that have not ended after a short settling time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _SETTLING_S
    allowed = before | {task for task in (asyncio.current_task(),) if task is not None}
    left = asyncio.all_tasks() - allowed
    while left and loop.time() < until:
        await asyncio.sleep(_STEP_S)
        left = asyncio.all_tasks() - allowed
    return [repr(task) for task in left]


async def start_loop_threads() -> None:
    """Starts the threads that this loop lends its work to. They end with the loop: where a module's tests share one, no test may seem to have left them."""
    together = threading.Barrier(_LOOP_THREADS)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_LOOP_THREADS))
    await asyncio.gather(*(asyncio.to_thread(together.wait, _SETTLING_S) for _ in range(_LOOP_THREADS)))


def resident_bytes() -> int:
    """Returns the process's resident memory, 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> dict[str, str]:
    if not _DESCRIPTORS.is_dir():
        return {}
    found: dict[str, str] = {}
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  # the names are all that is needed
        try:
            found[name] = str(Path(_DESCRIPTORS, name).readlink())
        except OSError:
            continue  # the listing's own descriptor is gone by now
    return found


def _kind(target: str) -> str:
    """Sockets, pipes and pollers have a number of their own in their names; files are told by their paths."""
    return target.partition(":")[0] if target.startswith(("socket:", "pipe:")) else target
