"""The memory that a process may take is found wherever the system says it, and what is free is given back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from antiphon.calls.memory import available_bytes, give_back, limit_bytes, resident_bytes
from antiphon.config import load
from tests.support.serving import INSTALLED

if TYPE_CHECKING:
    from pathlib import Path

MIB = 2**20
MACHINE_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def system(folder: Path, cgroup: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Writes what the kernel would show."""
    proc, groups = folder / "proc", folder / "cgroup"
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup, encoding="ascii")
    for name, text in files.items():
        file = groups / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return proc, groups


@pytest.mark.parametrize(
    ("cgroup", "files", "expected_bytes"),
    [
        ("0::/\n", {"memory.max": f"{64 * MIB}\n"}, 64 * MIB),
        ("0::/a/b\n", {"a/b/memory.max": f"{128 * MIB}\n", "a/memory.max": f"{64 * MIB}\n", "memory.max": "max\n"}, 64 * MIB),
        ("0::/host/path\n", {"memory.max": f"{64 * MIB}\n"}, 64 * MIB),
        ("0::/a\n", {"a/memory.max": "max\n"}, MACHINE_BYTES),
        ("4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": f"{32 * MIB}\n"}, 32 * MIB),
        ("4:cpu,memory:/a\n", {"memory/memory.limit_in_bytes": f"{32 * MIB}\n"}, 32 * MIB),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE_BYTES),
        ("3:cpu:/a\n", {}, MACHINE_BYTES),
        ("", {}, MACHINE_BYTES),
    ],
    ids=[
        "v2",
        "v2, a group within",
        "v2, mounted alone",
        "v2, no limit",
        "v1",
        "v1, mounted alone",
        "v1, no limit",
        "other controllers",
        "none",
    ],
)
def test_the_least_limit_counts(tmp_path: Path, cgroup: str, files: dict[str, str], expected_bytes: int) -> None:
    assert expected_bytes == available_bytes(*system(tmp_path, cgroup, files))


def test_a_system_that_tells_nothing_has_the_machines_memory(tmp_path: Path) -> None:
    assert MACHINE_BYTES == available_bytes(tmp_path / "none", tmp_path / "neither")


@pytest.mark.parametrize(
    ("document", "expected_bytes"),
    [
        ("limits: {memory_bytes: 268435456}", 2**28),
        ("server: {workers: 4}\nlimits: {memory_bytes: 268435456}", 2**28),
        ("", int(available_bytes() * 0.9)),
        ("server: {workers: 4}", int(available_bytes() * 0.9 / 4)),
    ],
)
def test_workers_share_what_there_is(tmp_path: Path, document: str, expected_bytes: int) -> None:
    file = tmp_path / "antiphon.yaml"
    file.write_text(document or "{}", encoding="utf-8")
    assert expected_bytes == limit_bytes(load(INSTALLED, file=file, environment={}))


def test_freed_memory_goes_back_to_the_system() -> None:
    before = resident_bytes()
    # Small blocks, as those of a runtime: freed, they stay with the allocator.
    held = [bytes(1000) for _ in range(60_000)]
    assert resident_bytes() - before > 30 * MIB
    held.clear()
    give_back()
    assert resident_bytes() - before < 30 * MIB
