"""Tells a locked package's licence: from its installed metadata, or from what is recorded in `requirements/licences.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.locked import REQUIREMENTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution, PackageMetadata
    from pathlib import Path, PurePosixPath

    from tools.locked import Locked

RECORD = REQUIREMENTS / "licences.toml"
# What older metadata writes in its free field or its classifiers, where only one licence can be meant.
_SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd 2-clause license": "BSD-2-Clause",
    "isc license": "ISC",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
}
_TEXT_NAMES = ("licen", "copying", "unlicense")


@dataclass(frozen=True)
class Facts:
    """What is known of one locked version. An empty licence: it could not be told."""

    licence: str
    text: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What metadata cannot tell: licences read by a person, and versions that are not installed on every machine."""

    acceptable: frozenset[str]
    read: dict[str, str] = field(default_factory=dict[str, str])
    elsewhere: dict[str, Facts] = field(default_factory=dict[str, Facts])


def load_record(file: Path = RECORD) -> Record:
    """Reads the recorded licences and the policy."""
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    elsewhere = {pin: Facts(row["licence"], row["text"]) for pin, row in content.get("elsewhere", {}).items()}
    return Record(frozenset(content["acceptable"]), dict(content.get("read", {})), elsewhere)


def facts_of_all(locks: Iterable[Locked], record: Record) -> dict[str, Facts]:
    """Returns what is known of each version, by its pin."""
    return {locked.pin: facts_of(locked, record) for locked in locks}


def facts_of(locked: Locked, record: Record) -> Facts:
    """Returns what is known of a version; the same on every machine.

    A recorded version is never looked up: its metadata is there on some machines only.
    """
    if locked.pin in record.elsewhere:
        return record.elsewhere[locked.pin]
    try:
        installed = distribution(locked.name)
    except PackageNotFoundError:
        return Facts("", "not installed here, and not recorded")
    # Each look at a distribution's `metadata` parses the file anew.
    metadata = installed.metadata
    if metadata["Version"] != locked.version:
        return Facts("", f"version {metadata['Version']} is installed here, and {locked.version} is not recorded")
    licence = record.read.get(locked.name) or declared_licence(metadata)
    return Facts(licence, _licence_text(installed, metadata), _requires(metadata))


def declared_licence(metadata: PackageMetadata) -> str:
    """Returns the SPDX expression that the metadata gives, or nothing where it leaves a doubt."""
    for key in ("License-Expression", "License"):
        value = _first(metadata, key)
        if expression := _SPELLINGS.get(value.lower()) or _as_spdx(value):
            return expression
    lines = metadata.get_all("Classifier") or []
    classifiers = [line.split(" :: ")[-1] for line in lines if line.startswith("License :: OSI Approved :: ")]
    # Several classifiers may mean "either" or "both": a person has to read.
    return _SPELLINGS.get(classifiers[0].lower(), "") if len(classifiers) == 1 else ""


def _as_spdx(value: str) -> str:
    try:
        return canonicalize_license_expression(value)
    except InvalidLicenseExpression:
        return ""


def _first(metadata: PackageMetadata, key: str) -> str:
    return (metadata.get_all(key) or [""])[0].strip()


def _licence_text(installed: Distribution, metadata: PackageMetadata) -> str:
    """Where the text is: the wheel's file, or else the project's page."""
    info = [path for path in installed.files or [] if _is_licence_text(path)]
    if info:
        return str(min(info, key=lambda path: (".dist-info" not in path.parts[0], len(path.parts), str(path))))
    pages = dict(line.split(", ", 1) for line in metadata.get_all("Project-URL") or [])
    by_label = {label.lower().replace("-", " "): page for label, page in pages.items()}
    wanted = ("source", "source code", "repository", "github", "homepage")
    page = next((by_label[label] for label in wanted if label in by_label), _first(metadata, "Home-page"))
    return f"not in the wheel; {page}" if page else "not in the wheel"


def _is_licence_text(path: PurePosixPath) -> bool:
    shallow = ".dist-info" in path.parts[0] or len(path.parts) <= 2
    return shallow and path.suffix not in {".py", ".pyc", ".pyi"} and any(name in path.name.lower() for name in _TEXT_NAMES)


def _requires(metadata: PackageMetadata) -> tuple[str, ...]:
    """What it needs on any platform; what only an extra needs is left out."""
    wanted = [Requirement(line) for line in metadata.get_all("Requires-Dist") or []]
    return tuple(sorted({canonicalize_name(one.name) for one in wanted if "extra" not in str(one.marker or "")}))
