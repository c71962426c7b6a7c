"""A licence that nobody read or accepted fails; the page is the same for the same locks; a lock line without version or hash is refused."""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING, cast

import pytest

from tools import licences
from tools.licences import acceptable, refusals
from tools.locked import Locked, read_lock, read_locks
from tools.package_facts import Facts, Record, declared_licence, facts_of, load_record

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata
    from pathlib import Path

ACCEPTED = frozenset({"MIT", "Apache-2.0", "MPL-2.0"})
HASH = "a" * 64


def metadata(**fields: str) -> PackageMetadata:
    message = Message()
    for name, value in fields.items():
        for line in value.split("|"):
            message[name.replace("_", "-")] = line
    return cast("PackageMetadata", message)  # importlib's own metadata is a Message, too


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("MIT", True),
        ("GPL-3.0-or-later", False),
        ("GPL-3.0-or-later OR MIT", True),
        ("MIT OR GPL-3.0-or-later", True),
        ("GPL-3.0-or-later AND MIT", False),
        ("MIT AND GPL-3.0-or-later", False),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-2.0-only)", True),
        ("GPL-2.0-only OR MIT AND AGPL-3.0-only", False),
        ("(AGPL-3.0-only OR GPL-2.0-only) AND MIT", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("", False),
    ],
)
def test_one_side_of_or_and_both_of_and_must_be_accepted(expression: str, met: bool) -> None:
    assert met == acceptable(expression, ACCEPTED)


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT AND Apache-2.0", "License": "whatever"}, "MIT AND Apache-2.0"),
        ({"License": "mit"}, "MIT"),
        ({"License": "3-Clause BSD License"}, "BSD-3-Clause"),
        ({"License": "see the file", "Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"Classifier": "Topic :: Software|License :: OSI Approved :: BSD License"}, ""),
        ({"Classifier": "License :: OSI Approved :: MIT License|License :: OSI Approved :: Apache Software License"}, ""),
        ({}, ""),
    ],
)
def test_metadata_that_leaves_a_doubt_gives_no_licence(fields: dict[str, str], licence: str) -> None:
    assert licence == declared_licence(metadata(**fields))


def test_unknown_and_unacceptable_licences_and_idle_records_are_named() -> None:
    record = Record(ACCEPTED, {"gone": "MIT"}, {"gone==1": Facts("MIT", "")})
    known = {"fine==1": Facts("MIT", ""), "mystery==1": Facts("", "not installed here"), "viral==1": Facts("AGPL-3.0-only", "")}
    problems = refusals(known, record)
    assert ["mystery==1", "viral==1", "gone==1", "gone"] == [problem.split(": ")[0] for problem in problems]


def test_a_recorded_version_is_never_looked_up() -> None:
    record = Record(ACCEPTED, {}, {"pytest==0.0": Facts("Apache-2.0", "there")})
    assert Facts("Apache-2.0", "there") == facts_of(Locked("pytest", "0.0"), record)


@pytest.mark.parametrize(("name", "told"), [("pytest", "is installed here"), ("no-such-package", "not installed here")])
def test_a_version_that_is_not_installed_is_unknown(name: str, told: str) -> None:
    facts = facts_of(Locked(name, "0.0"), Record(ACCEPTED))
    assert not facts.licence
    assert told in facts.text


def test_the_page_names_every_shipped_package_once() -> None:
    lines = licences.PAGE.read_text(encoding="utf-8").splitlines()
    for locked in read_locks("runtime.txt", "embedded.txt"):
        assert 1 == sum(line.startswith(f"| {locked.name} | {locked.version} | ") for line in lines)


@pytest.mark.parametrize("text", ["an older page\n", None])
def test_a_page_that_is_not_current_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    page = tmp_path / "LICENSES.md"
    monkeypatch.setattr(licences, "PAGE", page)
    if text is not None:
        page.write_text(text, encoding="utf-8")
    assert 1 == licences.main(["--check"])


def test_the_policy_takes_no_strong_copyleft() -> None:
    accepted = load_record().acceptable
    assert not [name for name in accepted if name.startswith(("GPL", "AGPL", "LGPL", "SSPL", "BUSL"))]


def test_a_lock_is_read_with_its_markers_and_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lines = [
        "# made by a tool",
        "numpy==2.0 ; python_full_version < '3.12' \\",
        f"    --hash=sha256:{HASH}",
        "A_b==1.0 \\",
        f"    --hash=sha256:{HASH}",
    ]
    lock.write_text("\n".join(lines), encoding="utf-8")
    assert [Locked("a-b", "1.0", "", (HASH,)), Locked("numpy", "2.0", "python_full_version < '3.12'", (HASH,))] == read_lock(lock)


@pytest.mark.parametrize("line", ["numpy>=2", "numpy==2.0", "--extra-index-url somewhere", "https://example.org/numpy.whl"])
def test_a_line_without_version_or_hash_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(line, encoding="utf-8")
    with pytest.raises(ValueError, match="no exact version"):
        read_lock(lock)
