"""Holds the core packages to their own coverage bar; the overall bar is pytest-cov's."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORE_PERCENT = 90.0
CORE = ("completion", "calls", "rpc", "models", "health", "ports", "wire", "errors.py", "config/")


def main() -> int:
    """Reads the last run's data; fails when the core's statements are covered less than the bar."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run(["coverage", "json", "--quiet", "--fail-under=0", "-o", str(report)], cwd=ROOT, check=True)
        files = json.loads(report.read_text(encoding="utf-8"))["files"]
    failed = False
    for name in CORE:
        chosen = [entry["summary"] for path, entry in files.items() if f"antiphon/{name}" in path]
        statements = sum(entry["num_statements"] for entry in chosen)
        covered = sum(entry["covered_lines"] for entry in chosen)
        percent = 100.0 * covered / statements if statements else 0.0
        print(f"core coverage {name:<12} {percent:6.1f} %  ({covered} of {statements} statements)")
        failed |= percent < CORE_PERCENT
    if failed:
        print(f"the core packages must be covered to {CORE_PERCENT:g} %")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
