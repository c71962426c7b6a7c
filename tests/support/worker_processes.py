"""The workers of a running server as the kernel sees them: which processes listen at its port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.support.real_server import RealServer

_LISTENING = "0A"


def children(pid: int) -> list[int]:
    """Returns the processes that one has started and that still run."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(word) for task in tasks for word in (task / "children").read_text(encoding="ascii").split() if is_alive(int(word))]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """Returns the processes below one."""
    return [one for child in children(pid) for one in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie is dead: nobody may be there to reap an orphan in a container."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def serving(server: RealServer) -> list[int]:
    """Returns the supervisor's children that listen at the gRPC port."""
    listeners = _listeners(int(server.target.rpartition(":")[2]))
    return sorted(pid for pid in children(server.pid) if listeners & _sockets(pid))


async def serving_beside(server: RealServer, others: Collection[int], number: int = 1, timeout_s: float = 30) -> list[int]:
    """Waits until so many workers serve beside those others, and returns them."""
    async with asyncio.timeout(timeout_s):
        while len(found := [pid for pid in serving(server) if pid not in others]) < number:
            await asyncio.sleep(0.01)
    return found


async def gone(pids: Collection[int], timeout_s: float = 15) -> None:
    """Waits until none of them runs any more."""
    async with asyncio.timeout(timeout_s):
        while any(map(is_alive, pids)):
            await asyncio.sleep(0.02)


def _listeners(port: int) -> set[str]:
    """Returns the inodes of the sockets that listen at a port."""
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/self/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        rows = [line.split() for line in lines]
        found |= {row[9] for row in rows if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port}
    return found


def _sockets(pid: int) -> set[str]:
    found: set[str] = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        pass  # it ended, or closed one, while this looked
    return found
