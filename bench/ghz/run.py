"""Runs the ghz scenarios of this folder: `make bench-ghz`.

ghz is built once into the bench's cache. Every `*.json` beside this file is a ghz configuration; the address and the contract are put in here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

from bench.pairing import build, report, servers

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).parent
MODULE = "github.com/bojand/ghz/cmd/ghz"
# Named, because `latest` resolves to an older one.
VERSION = "v0.121.0"
RUN_TIMEOUT_S = 120


class Latency(TypedDict):
    """One point of a latency distribution, in nanoseconds."""

    percentage: int
    latency: int


class Summary(TypedDict):
    """What is read of ghz's JSON report."""

    name: str
    count: int
    rps: float
    average: int
    fastest: int
    slowest: int
    statusCodeDistribution: dict[str, int]
    errorDistribution: dict[str, int]
    latencyDistribution: list[Latency]


def run_scenario(ghz: Path, scenario: Path, address: str, protoset: Path, folder: Path) -> Summary:
    """Runs one scenario.

    Raises:
        subprocess.SubprocessError: ghz failed or did not end.
    """
    settings = cast("dict[str, Any]", json.loads(scenario.read_text(encoding="utf-8")))
    settings |= {"host": address, "protoset": str(protoset), "format": "json"}
    config = folder / scenario.name
    config.write_text(json.dumps(settings), encoding="utf-8")
    done = subprocess.run([str(ghz), f"--config={config}"], capture_output=True, text=True, check=True, timeout=RUN_TIMEOUT_S)
    return cast("Summary", json.loads(done.stdout))


def row(found: Summary) -> str:
    """Returns a scenario as a row of the table."""
    at = {point["percentage"]: point["latency"] / 1e6 for point in found["latencyDistribution"] or []}
    codes = ", ".join(f"{code} {count}" for code, count in sorted(found["statusCodeDistribution"].items()))
    cells = [found["name"], codes, f"{found['rps']:.0f}", *(f"{at.get(percentage, 0):.1f}" for percentage in (50, 95, 99))]
    return "| " + " | ".join(cells) + " |"


def main(arguments: Sequence[str]) -> int:
    """Runs all scenarios; returns 0 if every call of every scenario was answered with OK."""
    parser = argparse.ArgumentParser(prog="python -m bench.ghz.run", description=__doc__)
    parser.add_argument("--candidate", default="antiphon", help="`antiphon` or `bare`")
    options = parser.parse_args(arguments)
    print("building ghz, the first time only: about five minutes", flush=True)
    scenarios = sorted(FOLDER.glob("*.json"))
    rows: list[str] = []
    failed = 0 if scenarios else 1
    try:
        ghz, upstream_binary, protoset = build.install(MODULE, "ghz", VERSION), build.build("upstream"), build.write_protoset()
        with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as temporary:
            folder = Path(temporary)
            with (
                servers.upstream(upstream_binary, 1, folder) as upstream,
                servers.candidate(options.candidate, upstream.address, folder) as server,
            ):
                for scenario in scenarios:
                    print(f"running {scenario.name}", flush=True)
                    found = run_scenario(ghz, scenario, server.address, protoset, folder)
                    rows.append(row(found))
                    if set(found["statusCodeDistribution"]) != {"OK"}:
                        failed += 1
                        print(f"{scenario.name}: {found['errorDistribution']}", file=sys.stderr)
    except (build.BuildError, servers.StartError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    page = [f"# ghz against {options.candidate}", "", "Written by `make bench-ghz`; do not edit.", ""]
    page += [f"- {key}: {value}" for key, value in report.conditions(f"ghz {VERSION}, 4 connections").items()]
    page += ["", "| scenario | answers | calls/s | ms p50 | p95 | p99 |", "|---|---|---|---|---|---|", *rows, ""]
    print("\n".join(page))
    if options.candidate == "antiphon" and not failed:
        (FOLDER.parent / "results" / "ghz.md").write_text("\n".join(page), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
