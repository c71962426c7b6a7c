"""What is installed from our wheels is what the repository holds: all of the code, nothing else, and the same bytes at every build."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

from tools import wheels

ROOT = wheels.ROOT
# A package: its folders in the repository, and where they stand in the wheel.
PACKAGES = {
    "antiphon": {"server/antiphon": "antiphon", "server/buf": "buf"},
    "antiphon_client": {"clients/python/src/antiphon_client": "antiphon_client"},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    wheels.build(folder)
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    files = [str(path) for path in built.glob("*.whl")]
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--target", str(folder), *files], check=True)
    return folder


def contents(built: Path, package: str) -> dict[str, bytes]:
    (path,) = built.glob(f"{package}-[0-9]*.whl")
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def known_files(folder: str) -> list[str]:
    """What git knows or would add: a file that it ignores is a stray one."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [path for path in listed if (ROOT / path).is_file()]


def run(installed: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment).stdout


def test_a_second_build_gives_the_same_bytes(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    again = wheels.build(tmp_path)
    assert len(again) == 4
    assert {path.name: path.read_bytes() for path in again} == {path.name: (built / path.name).read_bytes() for path in again}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_the_code_and_nothing_else(built: Path, package: str) -> None:
    expected = {path.replace(source, name, 1) for source, name in PACKAGES[package].items() for path in known_files(source)}
    names = set(contents(built, package))
    assert expected == {name for name in names if ".dist-info/" not in name}
    rest = {name.partition(".dist-info/")[2] for name in names - expected}
    assert {"METADATA", "WHEEL", "RECORD", "licenses/LICENSE"} == rest - {"entry_points.txt"}
    assert f"{package}/py.typed" in names


@pytest.mark.parametrize(
    ("package", "generated"),
    [
        ("antiphon", "antiphon/api/completion/v1/completion_service_pb2.py"),
        ("antiphon", "buf/validate/validate_pb2.py"),
        ("antiphon_client", "antiphon_client/_generated/antiphon/api/completion/v1/__init__.py"),
    ],
)
def test_a_wheel_carries_the_generated_code(built: Path, package: str, generated: str) -> None:
    assert generated in contents(built, package)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_licence_is_the_repositorys(built: Path, package: str) -> None:
    (text,) = (text for name, text in contents(built, package).items() if name.endswith("licenses/LICENSE"))
    assert (ROOT / "LICENSE").read_bytes() == text


@pytest.mark.parametrize("package", PACKAGES)
def test_a_source_distribution_builds_the_same_wheel(built: Path, package: str, tmp_path: Path) -> None:
    (source,) = built.glob(f"{package}-[0-9]*.tar.gz")
    with tarfile.open(source) as archive:
        top = {name.split("/")[1] for name in archive.getnames()}
        archive.extractall(tmp_path, filter="data")
        stamp = str(int(next(iter(archive)).mtime))
    code = {"antiphon": "server", "antiphon_client": "src"}[package]
    assert {code, ".gitignore", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"} == top
    (project,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path / "dist")]
    subprocess.run(command, cwd=project, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": stamp})
    (rebuilt,) = (tmp_path / "dist").iterdir()
    assert (built / rebuilt.name).read_bytes() == rebuilt.read_bytes()


def test_the_entry_points_are_installed(installed: Path) -> None:
    (server,) = distributions(name="antiphon", path=[str(installed)])
    found = {(point.group, point.name): point.value for point in server.entry_points}
    assert found.pop(("console_scripts", "antiphon")) == "antiphon.cli.main:run"
    assert {"local": "antiphon.providers.local", "openai": "antiphon.providers.openai"}.items() <= {
        name: value for (group, name), value in found.items() if group == "antiphon.providers"
    }.items()


def test_the_installed_programs_run_from_the_wheels(installed: Path) -> None:
    where = "import antiphon, antiphon_client; print(antiphon.__file__, antiphon_client.__file__)"
    files = [Path(name) for name in run(installed, "-c", where).split()]
    assert [installed / "antiphon" / "__init__.py", installed / "antiphon_client" / "__init__.py"] == files
    assert run(installed, str(installed / "bin" / "antiphon"), "--version").startswith("antiphon ")
