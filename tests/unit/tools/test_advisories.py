"""The scan says what is affected, what is ignored and until when, and what it could not look at; a broken copy is never taken for a clean one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest

from tools import advisories
from tools.advisories import Copy, Ignored, make_copy, read_copy, read_ignored, scan, write_copy
from tools.locked import Locked
from tools.osv import Advisory, Span, advisories_in

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2030, 6, 1)
FLAW = Advisory("PYSEC-1", ("CVE-1",), (Span("1.0", fixed="1.4"),), ())
COPY = Copy("a test's own records", date(2030, 5, 30), frozenset({"pump", "valve"}), {"pump": [FLAW]})
ENTRY = Ignored("PYSEC-1", "pump", "nothing calls it", date(2030, 7, 1))
HIT = "pump==1.3: PYSEC-1 = CVE-1; fixed in 1.4"


def record(**changed: Any) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": "1.4"}]
    affected = {
        "package": {"ecosystem": "PyPI", "name": "Pump"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
        "versions": ["1.3", "1.2"],
    }
    return {"id": "PYSEC-1", "modified": "2030-05-30T10:00:00Z", "aliases": ["CVE-1"], "affected": [affected]} | changed


@pytest.mark.parametrize(
    ("pins", "ignored", "failures"),
    [
        ({"pump": "1.3"}, [], [HIT]),
        ({"pump": "1.4"}, [], []),
        ({"pump": "0.9", "valve": "1.3"}, [], []),
        ({"pump": "1.3"}, [ENTRY], []),
        ({"pump": "1.3"}, [replace(ENTRY, id="CVE-1")], []),
        ({"pump": "1.3"}, [replace(ENTRY, until=TODAY)], []),
        ({"pump": "1.3"}, [replace(ENTRY, until=date(2030, 5, 31))], [f"{HIT}; ignored until 2030-05-31 only: nothing calls it"]),
        ({"pump": "1.3"}, [replace(ENTRY, package="valve")], [HIT, "PYSEC-1 of valve is ignored, and concerns nothing that is locked"]),
        ({"pump": "1.4"}, [ENTRY], ["PYSEC-1 of pump is ignored, and concerns nothing that is locked"]),
    ],
    ids=["hit", "mended", "other", "ignored", "ignored by alias", "last day", "expired", "ignored for another", "ignored for nothing"],
)
def test_what_is_affected_fails_unless_it_is_ignored_for_now(pins: dict[str, str], ignored: list[Ignored], failures: list[str]) -> None:
    assert failures == scan(COPY, [Locked(*pin) for pin in pins.items()], ignored, TODAY).failures


def test_one_flaw_under_two_ids_is_ignored_once() -> None:
    twin = replace(FLAW, id="GHSA-1", aliases=("CVE-1", "PYSEC-1"))
    assert [] == scan(replace(COPY, advisories={"pump": [FLAW, twin]}), [Locked("pump", "1.3")], [ENTRY], TODAY).failures


def test_what_the_copy_does_not_cover_is_told() -> None:
    outcome = scan(COPY, [Locked("hose", "1"), Locked("pump", "1.4")], [], TODAY)
    assert ["could not scan 1 packages, locked since the copy was made: hose"] == outcome.gaps
    assert [] == outcome.failures


def test_an_old_copy_is_told() -> None:
    outcome = scan(COPY, [Locked("pump", "1.4")], [], date(2030, 7, 1))
    assert ["could not scan for anything published in the last 32 days: the copy is older than 30"] == outcome.gaps


@pytest.mark.parametrize(
    ("version", "locked", "strict", "code"),
    [("1.3", "pump", False, 1), ("1.4", "pump", True, 0), ("1", "hose", False, 0), ("1", "hose", True, 1)],
    ids=["hit", "clean", "not covered", "not covered, before a release"],
)
def test_the_exit_code_says_what_came_of_it(tmp_path: Path, version: str, locked: str, strict: bool, code: int) -> None:
    write_copy(COPY, tmp_path / "copy.json")
    (tmp_path / "ignored.toml").touch()
    files = {"copy_file": tmp_path / "copy.json", "ignored_file": tmp_path / "ignored.toml"}
    assert code == advisories.check(strict=strict, locks=[Locked(locked, version)], today=TODAY, **files)


@pytest.mark.parametrize("strict", [False, True])
def test_without_a_copy_it_says_that_it_could_not(tmp_path: Path, strict: bool, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "advisories.json"
    assert int(strict) == advisories.check(strict=strict, copy_file=missing, ignored_file=missing, locks=[], today=TODAY)
    assert "could not scan: there is no requirements/advisories.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"source": "", "newest": "soon", "covered": [], "advisories": {}}',
        json.dumps({"advisories": {"pump": [{"spans": []}]}}),
    ]
    + [
        json.dumps({"source": "", "newest": "2030-01-01", "covered": [], "advisories": {"pump": [row]}})
        for row in ({"id": "X", "spans": [{"begin": "1"}]}, {"id": "X", "versions": ["one"]}, {"id": "X", "spans": [{"introduced": "one"}]})
    ],
)
def test_a_broken_copy_fails(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "copy.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"copy\.json is broken"):
        read_copy(file)
    assert 1 == advisories.check(strict=False, copy_file=file, ignored_file=file, locks=[], today=TODAY)
    assert "could not scan" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["[[ignored]]\nid = 1", '[[ignored]]\nid = "X"\npackage = "pump"\nreason = ""', "ignored"])
def test_an_entry_without_reason_or_last_day_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ignored.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"ignored\.toml is broken"):
        read_ignored(file)


def test_the_repositorys_own_table_can_be_read() -> None:
    assert all(entry.reason for entry in read_ignored(advisories.IGNORED))


@pytest.mark.parametrize("form", ["json", "yaml", "zip"])
def test_a_copy_is_made_from_a_dump_and_read_again(tmp_path: Path, form: str) -> None:
    dump = tmp_path / "dump"
    dump.mkdir()
    texts = {"one": record(), "two": record(id="PYSEC-2", modified="2030-05-31T00:00:00Z", withdrawn="2030-05-31T00:00:00Z")}
    for name, content in texts.items():
        # JSON is YAML, too.
        (dump / f"{name}.{'yaml' if form == 'yaml' else 'json'}").write_text(json.dumps(content), encoding="utf-8")
    if form == "zip":
        with ZipFile(tmp_path / "all.zip", "w") as archive:
            for file in dump.iterdir():
                archive.write(file, file.name)
        dump = tmp_path / "all.zip"
    copy = make_copy(dump, "a test's own records", ["pump", "hose"])
    assert {"pump": [Advisory("PYSEC-1", ("CVE-1",), (Span("0", fixed="1.4"),), ())]} == copy.advisories
    assert (date(2030, 5, 31), frozenset({"pump", "hose"})) == (copy.newest, copy.covered)
    write_copy(copy, tmp_path / "copy.json")
    assert copy == read_copy(tmp_path / "copy.json")


@pytest.mark.parametrize(("name", "text"), [("one.json", "{"), ("one.yaml", "a: ["), ("one.json", "{}"), ("readme.md", "no record at all")])
def test_a_dump_that_is_none_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"OSV record|cannot be read"):
        make_copy(tmp_path, "", ["pump"])


@pytest.mark.parametrize(
    ("events", "versions", "affected", "spared"),
    [
        ([{"introduced": "0"}, {"fixed": "2"}], [], ["0.1", "1.9", "2rc1"], ["2", "3"]),
        ([{"introduced": "1"}, {"last_affected": "2"}], [], ["1", "2"], ["0.9", "2.0.1"]),
        ([{"introduced": "1"}], [], ["1", "99"], ["0.9"]),
        ([{"fixed": "4"}, {"introduced": "3"}, {"fixed": "2"}, {"introduced": "1"}], [], ["1", "3.5"], ["0", "2", "2.5", "4"]),
        ([{"introduced": "1"}, {"fixed": "2"}, {"introduced": "2"}, {"fixed": "3"}], [], ["1", "2"], ["3"]),
        ([{"introduced": "0"}, {"fixed": "r12-final"}], [], ["1", "99"], []),
        ([], ["1.10", "old-one"], ["1.10", "1.10.0"], ["1.1", "1.9"]),
        ([{"introduced": "0"}, {"fixed": "2"}], ["1", "7"], ["1", "7"], ["2", "8"]),
    ],
    ids=["fixed", "last affected", "open", "two ranges", "touching ranges", "a bound that is no version", "listed", "listed outside"],
)
def test_ranges_mean_what_the_format_says(
    events: list[dict[str, str]], versions: list[str], affected: list[str], spared: list[str]
) -> None:
    ranges = [{"type": "ECOSYSTEM", "events": events}, {"type": "GIT", "events": [{"introduced": "0"}]}]
    package = {"ecosystem": "PyPI", "name": "pump"}
    ((_, advisory),) = advisories_in(record(affected=[{"package": package, "ranges": ranges[not events :], "versions": versions}]))
    assert dict.fromkeys(affected, True) | dict.fromkeys(spared, False) == {
        version: advisory.concerns(version) for version in [*affected, *spared]
    }


def test_another_ecosystems_package_of_the_same_name_is_not_ours() -> None:
    affected = [{"package": {"ecosystem": "npm", "name": "pump"}, "versions": ["1"]}]
    assert [] == list(advisories_in(record(affected=affected)))
