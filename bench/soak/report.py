"""Writes what a soak showed."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from bench.pairing import report
from bench.soak.samples import MIB, chart, slope_an_hour

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.pairing.setups import Setup
    from bench.soak.run import Bounds, Outcome
    from bench.soak.samples import Sample


def page(outcome: Outcome, bounds: Bounds, setup: Setup) -> str:
    """Returns the page that a person reads."""
    plan, total = outcome.plan, outcome.ended.total()
    on = f"{setup.title}, {setup.workers} process{'es' if setup.workers > 1 else ''}"
    ports = "both ports" if outcome.second_port else "the first port alone: the second one serves no calls"
    parameters = f"seed {plan.seed}, {plan.seconds / 60:g} minutes, {plan.rate:g} calls a second, {on}, {ports}"
    problems = outcome.problems(bounds)
    verdict, unexpected = "Failed" if problems else "Passed", outcome.unexpected.total()
    lines = ["# The soak", "", "Written by `make soak`; do not edit. Every sample is in the JSON file beside this page.", ""]
    lines += [f"- {key}: {value}" for key, value in report.conditions(parameters).items()]
    lines += [
        "",
        f"**{verdict}**: {total:,} calls, {100 * outcome.cancelled_share:.1f} % of them cancelled by the client, {unexpected:,} ends that should not be.",
        *([""] if problems else []),
        *(f"- {problem}" for problem in problems),
        "",
        "| at rest | before | after | |",
        "|---|---|---|---|",
        _row("private memory, MiB", outcome.before.uss_bytes / MIB, outcome.after.uss_bytes / MIB, None),
        _row("shared memory divided, MiB", outcome.before.pss_bytes / MIB, outcome.after.pss_bytes / MIB, None),
        _row("resident memory, MiB", outcome.before.rss_bytes / MIB, outcome.after.rss_bytes / MIB, bounds.memory_mib),
        _row("descriptors, without connections to the upstream", outcome.before.descriptors, outcome.after.descriptors, bounds.descriptors),
        _row("threads", outcome.before.threads, outcome.after.threads, bounds.threads),
        _row("tasks of the event loop", outcome.before.tasks, outcome.after.tasks, bounds.tasks),
        _row("connections to the upstream", outcome.before.upstream_connections, outcome.after.upstream_connections, None),
        "",
        "*Before* is after three seconds of the same load and three of rest; *after* is after three of rest.",
        "",
        "## Under load",
        "",
        "```",
        *_charts(outcome.samples),
        "```",
        "",
        _slopes(outcome, bounds),
        "",
        "## How the calls ended",
        "",
        "| calls | ended with | number |",
        "|---|---|---|",
        *(f"| {kind} | {code} | {count:,} |" for (kind, code), count in sorted(outcome.ended.items())),
        "",
    ]
    return "\n".join(lines)


def write(folder: Path, name: str, outcome: Outcome, bounds: Bounds, setup: Setup) -> None:
    """Writes the page and every sample."""
    (folder / f"{name}.md").write_text(page(outcome, bounds, setup), encoding="utf-8")
    document = {
        "plan": asdict(outcome.plan),
        "bounds": asdict(bounds),
        "setup": asdict(setup),
        "problems": outcome.problems(bounds),
        "ended": [[kind, code, count] for (kind, code), count in sorted(outcome.ended.items())],
        "columns": list(asdict(outcome.before)),
        "before": list(asdict(outcome.before).values()),
        "after": list(asdict(outcome.after).values()),
        "samples": [[round(value, 1) if isinstance(value, float) else value for value in asdict(one).values()] for one in outcome.samples],
    }
    (folder / f"{name}.json").write_text(report.compact(json.dumps(document, indent=1)) + "\n", encoding="utf-8")


def _row(name: str, before: float | None, after: float | None, most: float | None) -> str:
    if before is None or after is None:
        return f"| {name} | - | - | not told by this server |"
    bound = "" if most is None else f"at most {most:g} more"
    return f"| {name} | {before:,.4g} | {after:,.4g} | {bound} |"


def _charts(samples: Sequence[Sample]) -> list[str]:
    series: list[tuple[str, list[float]]] = [
        ("private MiB", [sample.uss_bytes / MIB for sample in samples]),
        ("resident MiB", [sample.rss_bytes / MIB for sample in samples]),
        ("descriptors", [sample.descriptors for sample in samples]),
        ("threads", [sample.threads for sample in samples]),
        ("tasks", [sample.tasks for sample in samples if sample.tasks is not None]),
        ("calls at once", [sample.calls for sample in samples]),
        ("to upstream", [sample.upstream_connections for sample in samples]),
    ]
    return [f"{name:<13} {min(values):7.1f}..{max(values):<7.1f} {chart(values)}" for name, values in series if values]


def _slopes(outcome: Outcome, bounds: Bounds) -> str:
    warm = [sample for sample in outcome.samples if sample.at_s >= outcome.plan.warm_up_s]
    private = slope_an_hour([(sample.at_s, sample.uss_bytes / MIB) for sample in warm])
    descriptors = slope_an_hour([(sample.at_s, sample.descriptors) for sample in warm])
    tasks = slope_an_hour([(sample.at_s, sample.tasks) for sample in warm if sample.tasks is not None])
    bound = "too short a time to judge" if bounds.memory_mib_an_hour is None else f"at most {bounds.memory_mib_an_hour:g}"
    return (
        f"Slopes after {outcome.plan.warm_up_s:.0f} s, by least squares, an hour: resident memory **{outcome.memory_mib_an_hour:+.1f} MiB** ({bound}), "
        f"private memory {private:+.1f} MiB, descriptors {descriptors:+.1f}, tasks {tasks:+.1f}."
    )
