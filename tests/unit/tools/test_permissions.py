"""The build fails where a method of the contract declares no permission, seen on a copy of the contract from which one was taken."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tools import permissions

ROOT = permissions.PROTO.parent
OPTION = re.compile(r"\n *option \(antiphon\.api\.core\.v1\.permission\) = PERMISSION_MODELS_READ;")


@pytest.fixture
def contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the contract, in a workspace of its own."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    shutil.copytree(ROOT / "proto" / "antiphon", tmp_path / "proto" / "antiphon")
    shutil.copytree(ROOT / "third_party" / "imported", tmp_path / "third_party" / "imported")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path / "proto"


def test_the_contract_passes(contract: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == permissions.main(contract)
    assert "methods declares its permission" in capsys.readouterr().out


def test_a_method_without_one_is_named(contract: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = contract / "antiphon" / "api" / "model" / "v1" / "model_service.proto"
    changed, taken = OPTION.subn("", file.read_text(encoding="utf-8"), count=1)
    assert 1 == taken
    file.write_text(changed, encoding="utf-8")
    assert 1 == permissions.main(contract)
    said = capsys.readouterr().out
    assert ["antiphon.api.model.v1.ModelService.ListModels"] == [line.split()[0] for line in said.splitlines()]


def test_a_contract_without_methods_is_no_contract(contract: Path) -> None:
    for file in contract.rglob("*_service.proto"):
        file.unlink()
    assert 1 == permissions.main(contract)
