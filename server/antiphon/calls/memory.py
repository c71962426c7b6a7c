"""How much memory the process holds, and what it may: a server refuses calls before the system kills it.

The figures are read from `/proc` and the control groups' files, which the kernel answers from memory: no disk is waited for.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.config import Config

_LOOK_S = 0.25
# Below this share of the limit the server takes calls again; a call more or less must not open and close the door.
_ENOUGH = 0.95
# Memory given back by Python may stay with the allocator; asking it to give it on costs milliseconds, so not with every look.
_RELIEF_S = 5.0
_SHARE = 0.9
_PROC = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class MemoryWatch:
    """Looks at the process's resident memory while there are calls.

    Attributes:
        limit_bytes: From how much on there is too little left.
        short: Whether there is too little left.
        looking: Whether it looks from time to time.
    """

    def __init__(self, limit_bytes: int, resident: Callable[[], int] | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.short = False
        self.looking = False
        self._resident = resident_bytes if resident is None else resident
        self._relief_due_s = 0.0

    def look_on(self, busy: Callable[[], bool]) -> None:
        """Looks now, and again and again as long as there is something to do."""
        self.looking = True
        self._look(busy)

    def _look(self, busy: Callable[[], bool]) -> None:
        resident = self._resident()
        loop = asyncio.get_running_loop()
        if self.short:
            self.short = resident >= self.limit_bytes * _ENOUGH
            if not self.short:
                logger("antiphon.memory").info("enough memory again", resident_bytes=resident, limit_bytes=self.limit_bytes)
        elif resident >= self.limit_bytes:
            self.short = True
            logger("antiphon.memory").warning("short of memory: calls are refused", resident_bytes=resident, limit_bytes=self.limit_bytes)
        if self.short and loop.time() >= self._relief_due_s:
            self._relief_due_s = loop.time() + _RELIEF_S
            loop.run_in_executor(None, give_back)
        loop.call_later(_LOOK_S, self._look_again, busy)

    def _look_again(self, busy: Callable[[], bool]) -> None:
        if busy() or self.short:
            self._look(busy)
        else:
            self.looking = False


def limit_bytes(config: Config) -> int:
    """Returns from how much resident memory on a process refuses calls, as configured or by what there is."""
    if config.limits.memory_bytes is not None:
        return config.limits.memory_bytes
    return int(available_bytes() * _SHARE / config.server.workers)


def available_bytes(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Returns what the container, or else the machine, has for its processes."""
    return min([os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES, *_cgroup_limits(proc, cgroups)])


def _cgroup_limits(proc: Path, cgroups: Path) -> list[int]:
    """Returns the limits of the process's control group and of those around it, of both versions."""
    found: list[int] = []
    for line in _text(proc / "cgroup").splitlines():
        _, controllers, place = line.split(":", 2)
        if not controllers:
            root, file_name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            root, file_name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Inside a container the group's path may be the host's, and only its root be mounted.
        group = root / place.lstrip("/")
        for folder in (group, *group.parents):
            text = _text(folder / file_name).strip()
            if text.isdigit():
                found.append(int(text))
            if folder == root:
                break
    return found


def resident_bytes() -> int:
    """Returns what the process holds, 0 where the system does not tell."""
    fields = _text(_PROC / "statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0


def give_back() -> None:
    """Frees what only cycles hold, and has the C library return what is free to the system."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
