"""The gate: compares the contract with every released image of the current major version."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
RELEASED = ROOT / "proto" / "released"
_IMAGE = re.compile(r"(\d+)\.(\d+)\.binpb")


def current_images() -> list[Path]:
    """Returns the images that the contract must not break, oldest first.

    Before 1.0 a break needs a new 0.N, so only the newest 0.N binds; from 1.0 on every image of the newest major does.
    """
    versions = sorted((int(match[1]), int(match[2])) for path in RELEASED.iterdir() if (match := _IMAGE.fullmatch(path.name)))
    newest = versions[-1]
    bound = [version for version in versions if version[0] == newest[0]] if newest[0] else [newest]
    return [RELEASED / f"{major}.{minor}.binpb" for major, minor in bound]


def main() -> int:
    """Fails when the contract breaks one of them."""
    failures = 0
    for image in current_images():
        result = subprocess.run(["buf", "breaking", "proto", "--against", str(image.relative_to(ROOT))], cwd=ROOT, check=False)
        failures += result.returncode != 0
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
