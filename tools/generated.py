"""Generates code from the contract, or (`--check`) proves that the committed code is what the contract gives."""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEMPLATES = ("buf.gen.yaml", "clients/python/buf.gen.yaml")
# Folders that hold nothing but generated code.
FOLDERS = ("server/antiphon/api", "server/buf", "clients/python/src/antiphon_client/_generated")


def generate(target: Path) -> None:
    """Writes all generated code below `target`, laid out as in the repository."""
    for template in TEMPLATES:
        subprocess.run(["buf", "generate", "--template", template, "-o", str(target)], cwd=ROOT, check=True, stderr=subprocess.PIPE)
    for package in (path.parent for path in sorted((target / "server").rglob("*_pb2.py"))):
        folder = package
        while folder != target / "server" and folder.name != "antiphon":
            (folder / "__init__.py").write_text('"""Generated from the contract. Never edited."""\n', encoding="utf-8")
            folder = folder.parent


def differences(left: Path, right: Path) -> list[str]:
    """Names the files that are not the same in both trees."""
    if not left.is_dir() or not right.is_dir():
        return [str(right)]
    compared = filecmp.dircmp(left, right, ignore=["__pycache__"])
    _, mismatched, broken = filecmp.cmpfiles(left, right, compared.common_files, shallow=False)
    found = [str(right / name) for name in [*compared.left_only, *compared.right_only, *mismatched, *broken]]
    for name in compared.common_dirs:
        found += differences(left / name, right / name)
    return found


def main(arguments: list[str]) -> int:
    """Generates in place, or compares."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        if arguments == ["--check"]:
            stale = [path for name in FOLDERS for path in differences(fresh / name, ROOT / name)]
            for path in stale:
                print(f"not what the contract generates: {path}; run `make generate`")
            return 1 if stale else 0
        for name in FOLDERS:
            shutil.rmtree(ROOT / name, ignore_errors=True)
            shutil.copytree(fresh / name, ROOT / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
