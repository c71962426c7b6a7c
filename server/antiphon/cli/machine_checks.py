"""What the doctor looks at on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.cli.findings import Finding, Verdict
from antiphon.cli.listening import address, ports_of, reached_at
from antiphon.embedded.model_config import locate_model_files
from antiphon.embedded.model_errors import EmbeddedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from antiphon.config import Config

_OLDEST_PYTHON = (3, 11)
# The server idle (120 MB at most) and the packaged model with its caches (350 MB), with room to spare.
_LEAST_MEMORY_BYTES = 700 * 2**20
_WORKER_MEMORY_BYTES = 120 * 2**20
_LEAST_DISK_BYTES = 500 * 2**20


def check_python() -> Finding:
    """Whether this Python is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= _OLDEST_PYTHON:
        return Finding("Python", Verdict.WORKS, version)
    return Finding("Python", Verdict.BROKEN, version, "install Python 3.11 or newer")


def check_embedded_model(config: Config) -> Finding:
    """Whether the embedded model's packages and weights are here, where a provider needs them."""
    try:
        files = locate_model_files(config.embedded_model.weights)
    except EmbeddedModelError as error:
        needed = any(provider.type == "local" for provider in config.providers.values())
        packaged = config.embedded_model.weights is None
        first = "`make run` installs it" if packaged else "correct embedded_model.weights"
        mend = f"{first}; or configure another provider and leave `local` out"
        return Finding("embedded model", Verdict.BROKEN if needed else Verdict.NOTE, str(error), mend if needed else "")
    return Finding("embedded model", Verdict.WORKS, f"{files.gguf.name}, {_megabytes(files.gguf.stat().st_size)}")


def check_memory(config: Config) -> Finding:
    """Whether there is memory for the server and, where it is used, the embedded model."""
    available = _available_memory_bytes()
    if available is None:
        return Finding("memory", Verdict.NOTE, "this system does not say how much is free")
    embedded = any(provider.type == "local" for provider in config.providers.values())
    workers = config.server.workers
    least = _LEAST_MEMORY_BYTES + (workers - 1) * _WORKER_MEMORY_BYTES
    if available >= least or not embedded:
        return Finding("memory", Verdict.WORKS, f"{_megabytes(available)} free")
    beside = f" with {workers} workers" if workers > 1 else ""
    mend = f"the embedded model{beside} wants {_megabytes(least)}; lower embedded_model.slots or embedded_model.context_tokens"
    return Finding("memory", Verdict.NOTE, f"{_megabytes(available)} free", mend)


def check_workers(config: Config) -> Iterator[Finding]:
    """Whether there is a processor for each worker, where there are several."""
    workers = config.server.workers
    if workers == 1:
        return
    processors = _processors()
    if workers <= processors:
        yield Finding("workers", Verdict.WORKS, f"{workers}, on {processors} processors")
    else:
        yield Finding(
            "workers", Verdict.NOTE, f"{workers}, on {processors} processors, which they share", f"set server.workers to {processors}"
        )


def check_disk() -> Finding:
    """Whether there is room where the server would write."""
    free = shutil.disk_usage(Path.cwd()).free
    if free >= _LEAST_DISK_BYTES:
        return Finding("disk", Verdict.WORKS, f"{_megabytes(free)} free")
    return Finding("disk", Verdict.NOTE, f"{_megabytes(free)} free", "make room on this disk")


def check_ports(config: Config, answers_at: Callable[[str], bool]) -> Iterator[Finding]:
    """Whether the server's ports are free, or taken by an Antiphon server.

    Args:
        config: The configuration.
        answers_at: Whether an Antiphon server answers at a target.
    """
    answers = False
    for port in ports_of(config.server):
        subject = f"{port.name} port"
        problem = port.problem()
        if port.number == 0 and problem is None:
            yield Finding(subject, Verdict.WORKS, "any free one")
        elif problem is None:
            yield Finding(subject, Verdict.WORKS, f"{port.place} is free")
        elif not problem.taken:
            yield Finding(subject, Verdict.BROKEN, f"{problem.place}: {problem.told}", problem.mend)
        elif port.name == "gRPC" and (answers := answers_at(address(reached_at(config.server.host), port.number))):
            yield Finding(subject, Verdict.WORKS, f"{port.place} is taken by the Antiphon server that answers there")
        elif answers:
            # Its HTTP side says no name; who has the one port of this configuration has the other.
            yield Finding(subject, Verdict.WORKS, f"{port.place} is taken, by the same server as far as can be seen")
        else:
            yield Finding(subject, Verdict.BROKEN, f"{port.place} is taken by another program", problem.mend)


def check_terminal() -> Finding:
    """Whether the chat can draw here."""
    encoding = (sys.stdout.encoding or "unknown").lower()
    if not sys.stdout.isatty():
        return Finding("terminal", Verdict.NOTE, "the output is no terminal; `antiphon chat` prints plain text")
    if "utf" not in encoding:
        return Finding("terminal", Verdict.NOTE, f"its encoding is {encoding}", "set a UTF-8 locale, as in LC_ALL=C.UTF-8")
    from rich.console import Console

    console = Console()
    return Finding("terminal", Verdict.WORKS, f"{console.width} x {console.height}, colours: {console.color_system or 'none'}")


def _available_memory_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _processors() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MB"
