"""Resolves the requirements into hash-pinned lock files that name no index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Written without their own dependencies: those of the weights would pull a compiler's worth of packages that nothing here imports.
LOCKS: dict[str, tuple[list[str], list[str]]] = {
    "uv.txt": (["requirements/uv.in"], []),
    "server.txt": (["pyproject.toml", "clients/python/pyproject.toml", "requirements/build.in"], ["--extra", "local"]),
    # What a deployed server runs: server.txt without what builds the packages.
    "runtime.txt": (["pyproject.toml", "clients/python/pyproject.toml"], ["--extra", "local", "--constraint", "requirements/server.txt"]),
    "embedded.txt": (["requirements/embedded.in"], ["--no-deps"]),
    "dev.txt": (["requirements/dev.in"], ["--constraint", "requirements/server.txt"]),
}


def main() -> int:
    """Writes every lock file."""
    for name, (sources, options) in LOCKS.items():
        command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
        command += ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-package", "antiphon-client", "--no-annotate"]
        command += ["--custom-compile-command", "make lock", *options, *sources, "-o", f"requirements/{name}"]
        subprocess.run(command, cwd=ROOT, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
