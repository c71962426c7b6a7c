"""Reads the lock files: what is locked, for which platforms, by which hashes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "requirements"
# What runs in a deployment; the other locks build, test and install.
SHIPPED = ("runtime.txt", "embedded.txt")
_ENTRY = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, order=True)
class Locked:
    """One version of a package, as a lock has it."""

    name: str
    version: str
    marker: str = ""
    hashes: tuple[str, ...] = ()

    @property
    def pin(self) -> str:
        """As in `numpy==2.5.5`."""
        return f"{self.name}=={self.version}"


def read_lock(file: Path) -> list[Locked]:
    """Returns what a lock file pins, by name and version.

    Raises:
        ValueError: A line pins no exact version, or has no hash.
    """
    found: list[Locked] = []
    for entry in file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not entry.strip() or entry.startswith("#"):
            continue
        match = _ENTRY.match(entry)
        hashes = tuple(sorted(_HASH.findall(entry)))
        if match is None or not hashes:
            raise ValueError(f"{file.name}: no exact version with its hashes: {entry.split('--hash')[0].strip()!r}")
        marker = (match["marker"] or "").split("--hash")[0].strip()
        found.append(Locked(canonicalize_name(match["name"]), match["version"], marker, hashes))
    return sorted(found)


def read_locks(*names: str) -> list[Locked]:
    """Returns what these files of `requirements/` pin; what stands in several of them is told once."""
    by_pin = {locked.pin: locked for name in names for locked in read_lock(REQUIREMENTS / name)}
    return sorted(by_pin.values())


def all_locked() -> list[Locked]:
    """Returns everything that any lock pins."""
    return read_locks(*sorted(file.name for file in REQUIREMENTS.glob("*.txt")))
