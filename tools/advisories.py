"""Holds the locked versions against known advisories, offline, by a dated copy; makes that copy from a dump in the OSV format.

`--refresh DUMP --source WORDS` writes the copy, `--check` scans, `--check --strict` also fails where it could not scan.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from packaging.version import InvalidVersion

from tools.locked import REQUIREMENTS, Locked, all_locked
from tools.osv import Advisory, advisories_in, records

if TYPE_CHECKING:
    from collections.abc import Iterable

COPY = REQUIREMENTS / "advisories.json"
IGNORED = REQUIREMENTS / "advisories_ignored.toml"
OLD_AFTER_DAYS = 30
_NAMED = 10


@dataclass(frozen=True)
class Copy:
    """The advisories of the packages that were locked when it was made."""

    source: str
    newest: date
    covered: frozenset[str]
    advisories: dict[str, list[Advisory]]


@dataclass(frozen=True)
class Ignored:
    """An advisory that does not matter here, until a day."""

    id: str
    package: str
    reason: str
    until: date


@dataclass(frozen=True)
class Outcome:
    """What a scan found: `failures` break the build, `gaps` are what could not be scanned, `notes` are told."""

    failures: list[str]
    gaps: list[str]
    notes: list[str]


def make_copy(dump: Path, source: str, names: Iterable[str]) -> Copy:
    """Takes from a dump what concerns these packages.

    The dump's own newest change is its date: it may have lain about before it was copied.

    Raises:
        ValueError: It holds no record, or a file that is none.
    """
    wanted = frozenset(names)
    found: dict[str, list[Advisory]] = {}
    newest = ""
    for record in records(dump):
        newest = max(newest, str(record["modified"])[:10])
        for name, advisory in advisories_in(record):
            if name in wanted:
                found.setdefault(name, []).append(advisory)
    if not newest:
        raise ValueError(f"{dump} holds no OSV record")
    ordered = {name: sorted(found[name], key=lambda advisory: advisory.id) for name in sorted(found)}
    return Copy(source, date.fromisoformat(newest), wanted, ordered)


def write_copy(copy: Copy, file: Path) -> None:
    """Writes it as JSON, the same for the same content."""
    rows = {name: [advisory.as_json() for advisory in found] for name, found in copy.advisories.items()}
    content = {"source": copy.source, "newest": copy.newest.isoformat(), "covered": sorted(copy.covered), "advisories": rows}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_copy(file: Path) -> Copy:
    """Reads it again.

    Raises:
        ValueError: It is not what `write_copy` writes.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        advisories = {name: [Advisory.from_json(row) for row in rows] for name, rows in content["advisories"].items()}
        return Copy(content["source"], date.fromisoformat(content["newest"]), frozenset(content["covered"]), advisories)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidVersion) as error:
        raise ValueError(f"{file.name} is broken: {type(error).__name__}: {error}") from error


def read_ignored(file: Path) -> list[Ignored]:
    """Reads what is ignored, each with its reason and its last day.

    Raises:
        ValueError: An entry lacks one of them.
    """
    try:
        return [Ignored(**row) for row in tomllib.loads(file.read_text(encoding="utf-8")).get("ignored", [])]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file.name} is broken: {error}") from error


def scan(copy: Copy, locks: Iterable[Locked], ignored: Iterable[Ignored], today: date) -> Outcome:
    """Matches what is locked with the copy."""
    outcome = Outcome([], [], [])
    entries = {(entry.package, entry.id): entry for entry in ignored}
    used: set[Ignored] = set()
    locks = list(locks)
    for locked in locks:
        for advisory in copy.advisories.get(locked.name, []):
            if not advisory.concerns(locked.version):
                continue
            # Databases tell one flaw under several ids: an entry under any of them will do.
            names = (advisory.id, *advisory.aliases)
            entry = next((entries[locked.name, name] for name in names if (locked.name, name) in entries), None)
            told = f"{locked.pin}: {' = '.join(names)}; fixed in {', '.join(advisory.fixed_in) or 'no version yet'}"
            if entry is None:
                outcome.failures.append(told)
                continue
            used.add(entry)
            if entry.until < today:
                outcome.failures.append(f"{told}; ignored until {entry.until} only: {entry.reason}")
            else:
                outcome.notes.append(f"ignored until {entry.until}: {told}: {entry.reason}")
    unused = [entry for entry in entries.values() if entry not in used]
    outcome.failures.extend(f"{entry.id} of {entry.package} is ignored, and concerns nothing that is locked" for entry in unused)
    missing = sorted({locked.name for locked in locks} - copy.covered)
    if missing:
        named = ", ".join(missing[:_NAMED]) + (" and more" if len(missing) > _NAMED else "")
        outcome.gaps.append(f"could not scan {len(missing)} packages, locked since the copy was made: {named}")
    if (age := (today - copy.newest).days) > OLD_AFTER_DAYS:
        outcome.gaps.append(f"could not scan for anything published in the last {age} days: the copy is older than {OLD_AFTER_DAYS}")
    outcome.notes.append(f"{len(locks)} locked versions against {copy.source}, as of {copy.newest}, {age} days ago")
    return outcome


def check(*, strict: bool, copy_file: Path, ignored_file: Path, locks: list[Locked], today: date) -> int:
    """Scans, says what came of it, and returns the exit code."""
    if not copy_file.is_file():
        print(f"advisories: could not scan: there is no requirements/{copy_file.name}; `make advisories` tells how to make it")
        return int(strict)
    try:
        outcome = scan(read_copy(copy_file), locks, read_ignored(ignored_file), today)
    except ValueError as error:
        print(f"advisories: could not scan: {error}")
        return 1
    for line in [*outcome.notes, *outcome.gaps, *outcome.failures]:
        print(f"advisories: {line}")
    return 1 if outcome.failures or (strict and outcome.gaps) else 0


def main(arguments: list[str]) -> int:
    """Refreshes, or checks."""
    parser = argparse.ArgumentParser(prog="python -m tools.advisories", description=__doc__)
    parser.add_argument("--check", action="store_true", help="scan what is locked by the copy; no network")
    parser.add_argument("--strict", action="store_true", help="fail also where something could not be scanned, as before a release")
    parser.add_argument(
        "--refresh", type=Path, metavar="DUMP", help="a folder or a zip of OSV records: JSON, or YAML as PyPA's advisory database has them"
    )
    parser.add_argument("--source", metavar="WORDS", help="what the dump is, in words that a reader understands")
    given = parser.parse_args(arguments)
    locks = all_locked()
    if given.refresh:
        if not given.source:
            parser.error("--refresh needs --source")
        try:
            write_copy(make_copy(given.refresh, given.source, {locked.name for locked in locks}), COPY)
        except (OSError, ValueError, BadZipFile) as error:
            print(f"advisories: {error}")
            return 1
    elif not given.check:
        parser.error("either --check or --refresh")
    return check(strict=given.strict, copy_file=COPY, ignored_file=IGNORED, locks=locks, today=datetime.now(UTC).date())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
