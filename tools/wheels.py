"""Builds the wheels and source distributions of the server and the SDK into `dist/`. Two builds of one commit give the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECTS = (ROOT, ROOT / "clients" / "python")
DIST = ROOT / "dist"


def build(target: Path) -> list[Path]:
    """Builds into a folder, with the hatchling of this environment and no network; returns the files.

    Raises:
        subprocess.CalledProcessError: A build failed, or this is no checkout.
    """
    # Every time inside the archives is that of the last commit.
    stamp = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    for project in PROJECTS:
        command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
        subprocess.run(command, cwd=project, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": stamp})
    return sorted(path for path in target.iterdir() if path.name.endswith((".whl", ".tar.gz")))


def main() -> int:
    """Builds twice, and keeps the first only if the second is the same."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        built, again = build(Path(first)), build(Path(second))
        digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in built}
        differing = sorted(set(digests.items()) ^ {(path.name, sha256(path.read_bytes()).hexdigest()) for path in again})
        if differing:
            print(f"wheels: two builds differ: {', '.join(sorted({name for name, _ in differing}))}")
            return 1
        shutil.rmtree(DIST, ignore_errors=True)
        DIST.mkdir()
        for path in built:
            shutil.copy(path, DIST)
    for name, digest in digests.items():
        print(f"{digest}  dist/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
