"""Reads advisories in the OSV format, from a folder or a zip, and tells which versions they concern.

The format and the way that ranges are evaluated: https://ossf.github.io/osv-schema/.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast
from zipfile import ZipFile

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ECOSYSTEM = "PyPI"
_SUFFIXES = (".json", ".yaml", ".yml")


@dataclass(frozen=True)
class Span:
    """Versions from `introduced` on ("0": from the first), before `fixed`, or up to and with `last_affected`."""

    introduced: str
    fixed: str = ""
    last_affected: str = ""

    def holds(self, version: Version) -> bool:
        """Whether a version is in it."""
        if self.introduced != "0" and version < Version(self.introduced):
            return False
        if self.fixed:
            return version < Version(self.fixed)
        return not self.last_affected or version <= Version(self.last_affected)


@dataclass(frozen=True)
class Advisory:
    """What one advisory says of one package."""

    id: str
    aliases: tuple[str, ...]
    spans: tuple[Span, ...]
    versions: tuple[str, ...]

    def concerns(self, version: str) -> bool:
        """Whether a version is affected."""
        wanted = Version(version)
        return any(span.holds(wanted) for span in self.spans) or any(Version(listed) == wanted for listed in self.versions)

    @property
    def fixed_in(self) -> tuple[str, ...]:
        """The versions that mend it, as far as the advisory tells."""
        return tuple(span.fixed for span in self.spans if span.fixed)

    def as_json(self) -> dict[str, Any]:
        """As it is kept in the copy; what is empty is left out."""
        row = asdict(self) | {"spans": [{key: value for key, value in asdict(span).items() if value} for span in self.spans]}
        return {key: value for key, value in row.items() if value}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Advisory:
        """Reads it from the copy.

        Raises:
            KeyError: It has no id.
            TypeError: A span has an unknown key.
            packaging.version.InvalidVersion: A version is none.
        """
        advisory = cls(
            row["id"], tuple(row.get("aliases", ())), tuple(Span(**span) for span in row.get("spans", ())), tuple(row.get("versions", ()))
        )
        # Read now, so that a copy that is broken says so whatever is locked.
        advisory.concerns("0")
        return advisory


def records(dump: Path) -> Iterator[dict[str, Any]]:
    """Yields every record below a folder, or in a zip.

    Raises:
        ValueError: A file is no record.
    """
    for name, text in _texts(dump):
        try:
            # libyaml, because a database holds thousands of files; its loader is the safe one.
            record = json.loads(text) if name.endswith(".json") else yaml.load(text, Loader=yaml.CSafeLoader)
        except (ValueError, yaml.YAMLError) as error:
            raise ValueError(f"{name} cannot be read: {error}") from error
        if not isinstance(record, dict) or not {"id", "modified"} <= record.keys():
            raise ValueError(f"{name} is no OSV record")
        yield cast("dict[str, Any]", record)


def _texts(dump: Path) -> Iterator[tuple[str, str]]:
    if dump.is_dir():
        # A database's checkout has files of its own about itself.
        files = (
            path
            for path in sorted(dump.rglob("*"))
            if path.suffix in _SUFFIXES and not any(part[0] == "." for part in path.relative_to(dump).parts)
        )
        yield from ((str(path.relative_to(dump)), path.read_text(encoding="utf-8")) for path in files)
        return
    with ZipFile(dump) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(_SUFFIXES):
                yield name, archive.read(name).decode()


def advisories_in(record: dict[str, Any]) -> Iterator[tuple[str, Advisory]]:
    """Yields what a record says, by package; nothing where it was withdrawn or is of another ecosystem."""
    if record.get("withdrawn"):
        return
    for affected in record.get("affected", []):
        package = affected.get("package", {})
        if package.get("ecosystem") != _ECOSYSTEM:
            continue
        spans = tuple(span for ranged in affected.get("ranges", []) if ranged["type"] != "GIT" for span in _spans(ranged["events"]))
        # Databases list every version beside the ranges: only what no range holds tells anything more.
        listed = [version for version in map(str, affected.get("versions", [])) if _readable(version)]
        alone = tuple(version for version in listed if not any(span.holds(Version(version)) for span in spans))
        if spans or alone:
            yield canonicalize_name(package["name"]), Advisory(record["id"], tuple(sorted(record.get("aliases", []))), spans, alone)


def _spans(events: list[dict[str, Any]]) -> Iterator[Span]:
    told = [(key, str(version)) for event in events for key, version in event.items() if key in {"introduced", "fixed", "last_affected"}]
    if not all(_readable(version) for _, version in told):
        # Nobody here can tell where it begins and ends: a person looks, and writes down what was found as ignored.
        yield Span("0")
        return
    opened = ""
    # At one version the end of a range stands before the beginning of the next.
    for key, version in sorted(told, key=lambda event: (Version(event[1]), event[0] == "introduced")):
        if key == "introduced":
            opened = opened or version
        elif opened:
            yield Span(opened, **{key: version})
            opened = ""
    if opened:
        yield Span(opened)


def _readable(version: str) -> bool:
    """Whether it is a version of today's form; none that a lock could pin is lost."""
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True
