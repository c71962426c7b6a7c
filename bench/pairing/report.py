"""Writes what a bench found: a table for the terminal, JSON with every run, and a page for readers."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
import statistics
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from bench.pairing.build import find_go, go_version
from bench.pairing.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.pairing.rounds import Comparison, Run

PAIRED = "paired"
LIMITS = Path(__file__).parents[1] / "limits.md"
PACKAGES = ("grpcio", "protobuf", "uvloop", "aiohttp", "orjson")


def conditions(parameters: str) -> dict[str, str]:
    """Tells under which conditions the runs were made."""
    return {
        "commit": commit(),
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {_memory()}, {platform.system()} {platform.release()}",
        "runtime": f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
        + f", {go_version(find_go())}",
        "parameters": parameters,
    }


def table(comparisons: Sequence[Comparison], candidate: str) -> str:
    """Returns the results as a Markdown table, one row a scenario."""
    lines = [
        f"| scenario | bare, us | {candidate}, us | ratio (min..max) | bar | |",
        "|---|---|---|---|---|---|",
    ]
    for found in comparisons:
        bare = statistics.median(found.cost_us(run) for run in found.baseline)
        ours = statistics.median(found.cost_us(run) for run in found.candidate)
        spread = f"{min(found.ratios):.2f}..{max(found.ratios):.2f}"
        measured = [f"**{found.ratio:.2f}** ({spread})", f"gap p99 {found.longer_gap_ms:+.1f} ms"]
        for number, (bar, met) in enumerate(found.verdicts):
            head = (
                f"| {found.scenario.title} | {bare:.1f} a {found.scenario.unit} | {ours:.1f} a {found.scenario.unit}"
                if number == 0
                else "| | | "
            )
            lines.append(f"{head} | {measured[number]} | {bar} | {'pass' if met else '**FAIL**'} |")
    return "\n".join(lines)


def detail(comparisons: Sequence[Comparison], candidate: str) -> str:
    """Returns what the runs looked like from outside, as a Markdown table: medians over the rounds."""
    lines = [
        "| scenario | server | first, ms p50 / p99 | gap, ms p50 / p99 | call, ms p50 / p99 | tokens a message | server, cores | upstream, cores | generator, cores |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for found in comparisons:
        for name, runs in (("bare", found.baseline), (candidate, found.candidate)):
            cells = [
                found.scenario.name,
                name,
                _pair(runs, lambda run: (run["first_ms"]["p50"], run["first_ms"]["p99"])),
                _pair(runs, lambda run: (run["gap_ms"]["p50"], run["gap_ms"]["p99"])) if found.scenario.stream else "-",
                _pair(runs, lambda run: (run["latency_ms"]["p50"], run["latency_ms"]["p99"])),
                f"{_median(runs, lambda run: run['tokens'] / run['deliveries']):.1f}",
                f"{_median(runs, lambda run: run['server_cpu']['s'] / run['wall_s']):.2f}",
                f"{_median(runs, lambda run: run['upstream_cpu']['s'] / run['wall_s']):.2f}",
                f"{_median(runs, lambda run: run['generator_cpu']['s'] / run['wall_s']):.2f}",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write(folder: Path, name: str, candidate: str, comparisons: Sequence[Comparison], found_under: dict[str, str]) -> None:
    """Writes `<name>.json`, every run in it, and for a whole paired run the page that a person reads."""
    folder.mkdir(parents=True, exist_ok=True)
    scenarios = [
        {
            "name": found.scenario.name,
            "title": found.scenario.title,
            "unit": found.scenario.unit,
            "ratio": round(found.ratio, 3),
            "ratios": [round(ratio, 3) for ratio in found.ratios],
            "longer_gap_p99_ms": round(found.longer_gap_ms, 3) if found.scenario.stream else None,
            "bars": [{"bar": bar, "met": met} for bar, met in found.verdicts],
            "bare": [_flat(run) for run in found.baseline],
            "candidate": [_flat(run) for run in found.candidate],
        }
        for found in comparisons
    ]
    document = {"conditions": found_under, "candidate": candidate, "columns": [name for name, _ in _COLUMNS], "scenarios": scenarios}
    (folder / f"{name}.json").write_text(compact(json.dumps(document, indent=1)) + "\n", encoding="utf-8")
    if name == PAIRED:
        (folder / "README.md").write_text(page(candidate, comparisons, found_under), encoding="utf-8")


def compact(text: str) -> str:
    """Puts together again what JSON's indentation spreads: a list of numbers is a row."""
    return re.sub(r"\[[\s\d.,-]+\]", lambda numbers: re.sub(r"\s+", " ", numbers[0]).replace("[ ", "[").replace(" ]", "]"), text)


def page(candidate: str, comparisons: Sequence[Comparison], found_under: dict[str, str]) -> str:
    """Returns the page of a whole paired run, with what limits it."""
    return "\n".join(
        [
            f"# The bare server against {candidate}",
            "",
            f"Written by `make bench`; do not edit. Every run is in `{PAIRED}.json`.",
            "",
            *(f"- {key}: {value}" for key, value in found_under.items()),
            "",
            table(comparisons, candidate),
            "",
            "CPU is the server processes' own, from the kernel's counters, children included. A ratio is that of one run to the mean of the bare",
            "server's runs just before and just after it; the table shows the median of the rounds, and their spread.",
            "",
            "## Seen from outside",
            "",
            detail(comparisons, candidate),
            "",
            LIMITS.read_text(encoding="utf-8"),
        ]
    )


_COLUMNS: tuple[tuple[str, Callable[[Run], float]], ...] = (
    ("server_cpu_us_per_call", lambda run: run["server_cpu_us_per_call"]),
    ("server_cpu_us_per_token", lambda run: run["server_cpu_us_per_token"]),
    ("server_cpu_s", lambda run: run["server_cpu"]["s"]),
    ("upstream_cpu_s", lambda run: run["upstream_cpu"]["s"]),
    ("generator_cpu_s", lambda run: run["generator_cpu"]["s"]),
    ("wall_s", lambda run: run["wall_s"]),
    ("calls", lambda run: run["calls"]),
    ("tokens", lambda run: run["tokens"]),
    ("deliveries", lambda run: run["deliveries"]),
    ("message_bytes", lambda run: run["message_bytes"]),
    ("latency_p50_ms", lambda run: run["latency_ms"]["p50"]),
    ("latency_p99_ms", lambda run: run["latency_ms"]["p99"]),
    ("first_p50_ms", lambda run: run["first_ms"]["p50"]),
    ("first_p99_ms", lambda run: run["first_ms"]["p99"]),
    ("gap_p50_ms", lambda run: run["gap_ms"]["p50"]),
    ("gap_p99_ms", lambda run: run["gap_ms"]["p99"]),
    ("gap_max_ms", lambda run: run["gap_ms"]["max"]),
)


def _flat(run: Run) -> list[float]:
    return [round(value(run), 3) for _, value in _COLUMNS]


def _median(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(value(run) for run in runs)


def _pair(runs: Sequence[Run], values: Callable[[Run], tuple[float, float]]) -> str:
    return f"{_median(runs, lambda run: values(run)[0]):.1f} / {_median(runs, lambda run: values(run)[1]):.1f}"


def commit() -> str:
    """Names the commit that is measured, and says where the checkout is not it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30).stdout.strip()

    # The results themselves are written before they are committed, so they do not count as a change.
    changed = git("status", "--porcelain", "--", ".", ":!bench/results")
    return (git("rev-parse", "--short=12", "HEAD") or "none") + (" with uncommitted changes" if changed else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 2**30:.0f} GiB"
