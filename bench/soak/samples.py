"""What a process tree holds, read from the kernel, and how it changes over time."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TASKS = re.compile(r"^antiphon\w*_tasks(?:\{[^}]*\})? ([\d.e+]+)$", re.MULTILINE)
_BARS = "▁▂▃▄▅▆▇█"
_KIB = 1024
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look.

    Attributes:
        at_s: When, in seconds since the load began.
        rss_bytes: Resident memory of all processes; what they share counts for each.
        pss_bytes: The same with what is shared divided.
        uss_bytes: What is theirs alone.
        descriptors: Open descriptors, less the connections to the upstream, which come and go with the load.
        threads: Threads.
        tasks: Tasks of the event loops; None where the server does not tell.
        upstream_connections: Connections that the upstream has open.
        calls: Calls in progress on our side.
    """

    at_s: float
    rss_bytes: int
    pss_bytes: int
    uss_bytes: int
    descriptors: int
    threads: int
    tasks: int | None
    upstream_connections: int
    calls: int


def look(pid: int, *, at_s: float, metrics: str, upstream_connections: int, calls: int) -> Sample:
    """Reads a process and its descendants."""
    rss, pss, uss, descriptors, threads = 0, 0, 0, 0, 0
    for process in tree(pid):
        folder = Path(f"/proc/{process}")
        try:
            memory = _fields(folder / "smaps_rollup")
            descriptors += len(list((folder / "fd").iterdir()))
            threads += len(list((folder / "task").iterdir()))
        except OSError:
            continue  # it ended meanwhile
        rss += memory["Rss"]
        pss += memory["Pss"]
        uss += memory["Private_Clean"] + memory["Private_Dirty"]
    told = [int(float(value)) for value in _TASKS.findall(metrics)]
    return Sample(
        at_s, rss, pss, uss, descriptors - upstream_connections, threads, sum(told) if told else None, upstream_connections, calls
    )


def tree(pid: int) -> list[int]:
    """Returns a process and its descendants."""
    found = [pid]
    for process in found:
        for task in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text(encoding="ascii").split()]
            except OSError:
                continue
    return found


def slope_an_hour(samples: Sequence[tuple[float, float]]) -> float:
    """Fits a line through points of (seconds, value) by least squares and returns what it rises by in an hour."""
    if len(samples) < 3:
        return 0.0
    return statistics.linear_regression([at_s for at_s, _ in samples], [value for _, value in samples]).slope * 3600


def chart(values: Sequence[float], width: int = 100) -> str:
    """Draws values as a line of bars, from the least to the most."""
    if not values:
        return ""
    columns = min(width, len(values))
    means = [statistics.mean(values[column * len(values) // columns : (column + 1) * len(values) // columns]) for column in range(columns)]
    least, most = min(means), max(means)
    return "".join(_BARS[int((mean - least) / (most - least) * (len(_BARS) - 1)) if most > least else 0] for mean in means)


def _fields(path: Path) -> dict[str, int]:
    # smaps_rollup: a headline, then lines such as `Pss:  1234 kB`.
    lines = (line.split() for line in path.read_text(encoding="ascii").splitlines()[1:])
    return {words[0].rstrip(":"): int(words[1]) * _KIB for words in lines}
