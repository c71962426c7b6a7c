"""What each part of Antiphon costs: a server with one part on beside a server with everything off, in turn over the same upstream.

`make bench-parts` writes `bench/results/parts.md` and `parts.json`. All servers run at the same time and take turns, each between two runs of the one
that it is held against, so that the rounds of every part are spread over the whole time. A part that cannot be started is told and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.pairing import build, report, servers
from bench.pairing.proof import prove
from bench.pairing.rounds import Generator, LoadError, Run
from bench.pairing.scenarios import SCENARIOS
from bench.pairing.setups import OFF, PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.pairing.scenarios import Scenario
    from bench.pairing.servers import Running
    from bench.pairing.setups import Setup

RESULTS = Path(__file__).parent / "results"
LIMITS = Path(__file__).parent / "parts_limits.md"
BARE_TLS = "bare-tls"
# Shorter than those of the bars: many neighbours, not long runs, make a difference steady.
CALLS = {"unary": 1000, "paced": 100}
ROUNDS = {"unary": 7, "paced": 5}
SHORT_STREAMS = "mock-t75-r50"


@dataclass(slots=True)
class Cost:
    """One part's runs in one scenario.

    Attributes:
        title: What a reader sees.
        scenario: What was run.
        saved: Whether the runs are those without the part, and the base those with it.
        bases: Pairs of the base's runs, just before and just after each run of the part.
        runs: The part's runs.
    """

    title: str
    scenario: Scenario
    saved: bool = False
    bases: list[tuple[Run, Run]] = field(default_factory=list[tuple[Run, Run]])
    runs: list[Run] = field(default_factory=list[Run])

    def us(self, run: Run) -> float:
        """Returns the server's CPU per unit in microseconds."""
        return run["server_cpu_us_per_call"] if self.scenario.unit == "call" else run["server_cpu_us_per_token"]

    @property
    def differences_us(self) -> list[float]:
        """What the part adds in each round, sorted."""
        sign = -1 if self.saved else 1
        pairs = zip(self.runs, self.bases, strict=True)
        return sorted(sign * (self.us(run) - statistics.mean(self.us(base) for base in bases)) for run, bases in pairs)

    @property
    def base_us(self) -> float:
        """What the base costs: the median."""
        return statistics.median(self.us(base) for bases in self.bases for base in bases)

    @property
    def throughput(self) -> float:
        """How many times the base's calls a second were answered: the median of the rounds."""
        pairs = zip(self.runs, self.bases, strict=True)
        return statistics.median(statistics.mean(base["wall_s"] for base in bases) / run["wall_s"] for run, bases in pairs)


def measure(
    generator: Generator, base: Running, parts: Sequence[tuple[str, bool, Running]], scenario: Scenario, rounds: int
) -> dict[str, Cost]:
    """Runs the base and each part in turn.

    Raises:
        LoadError: A run failed.
    """
    costs = {server.name: Cost(title, scenario, saved) for title, saved, server in parts}
    calls = CALLS[scenario.name]
    for server in (base, *(server for _, _, server in parts)):
        generator.run(scenario, server, window=False, calls=calls // 4)
    before = generator.run(scenario, base, window=False, calls=calls)
    for number in range(rounds):
        for _, _, server in parts:
            run = generator.run(scenario, server, window=False, calls=calls)
            after = generator.run(scenario, base, window=False, calls=calls)
            costs[server.name].runs.append(run)
            costs[server.name].bases.append((before, after))
            before = after
        print(f"{scenario.name}, against {base.name}: round {number + 1} of {rounds}", flush=True)
    return costs


def shortened(scenario: Scenario) -> Scenario:
    """Returns a scenario of the bars with streams of half the length."""
    return replace(scenario, workload=SHORT_STREAMS, title="100 streams at 50 tokens/s, 75 tokens each") if scenario.stream else scenario


def run(options: argparse.Namespace) -> tuple[list[Cost], list[str]]:
    """Starts the servers that can be started, measures, and returns the costs and what could not be measured."""
    upstream_binary, load_binary, protoset = build.build("upstream"), build.build("load"), build.write_protoset()
    wanted = [setup for setup in PARTS if not options.part or setup.name in options.part]
    left_out: list[str] = []
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as temporary, contextlib.ExitStack() as open_servers:
        folder = Path(temporary)
        upstream = open_servers.enter_context(servers.upstream(upstream_binary, options.seed, folder))
        generator = Generator(load_binary, protoset, upstream, folder, options.connections)
        off = open_servers.enter_context(servers.antiphon(OFF, upstream.address, folder))
        started: list[tuple[Setup, Running]] = []
        for setup in wanted:
            try:
                server = open_servers.enter_context(servers.antiphon(setup, upstream.address, folder))
                prove(generator, setup, server)
                started.append((setup, server))
            except (servers.StartError, LoadError) as error:
                left_out.append(f"{setup.title}: {error}")
                print(f"left out: {left_out[-1]}", file=sys.stderr, flush=True)
        for scenario in [shortened(scenario) for scenario in SCENARIOS if scenario.name in options.scenario]:
            able = [(setup.title, bool(setup.without), server) for setup, server in started if not (setup.json and scenario.stream)]
            rounds = options.rounds or ROUNDS[scenario.name]
            costs += measure(generator, off, able, scenario, rounds).values()
            if not options.part or BARE_TLS in options.part:
                with (
                    servers.plain("bare", upstream.address, folder) as bare,
                    servers.plain("bare", upstream.address, folder, label=BARE_TLS, tls=True) as bare_tls,
                ):
                    costs += measure(generator, bare, [("TLS, on the bare server", False, bare_tls)], scenario, rounds).values()
    return costs, left_out


def table(costs: Sequence[Cost]) -> str:
    """Returns the costs as a Markdown table, one row a part and scenario."""
    lines = [
        "| part | scenario | base, us | adds, us (middle half; min..max) | of the base | calls a second |",
        "|---|---|---|---|---|---|",
    ]
    for cost in costs:
        differences, unit = cost.differences_us, cost.scenario.unit
        low, middle, high = statistics.quantiles(differences, n=4, method="inclusive") if len(differences) > 1 else differences * 3
        # A part that is taken out shows its own cost, not the throughput of a server that has it.
        throughput = "-" if cost.saved or cost.scenario.stream else f"x {cost.throughput:.2f}"
        lines.append(
            f"| {cost.title} | {cost.scenario.name} | {cost.base_us:.1f} a {unit} | **{middle:+.1f}** ({low:+.1f}..{high:+.1f}; "
            f"{differences[0]:+.1f}..{differences[-1]:+.1f}) | {100 * middle / cost.base_us:+.1f} % | {throughput} |"
        )
    return "\n".join(lines)


def write(costs: Sequence[Cost], left_out: Sequence[str], found_under: dict[str, str]) -> None:
    """Writes the page and every run."""
    missing = ["", "Could not be measured:", "", *(f"- {line.splitlines()[0]}" for line in left_out)] if left_out else []
    page = ["# What each part costs", "", "Written by `make bench-parts`; do not edit. Every round is in `parts.json`.", ""]
    page += [f"- {key}: {value}" for key, value in found_under.items()]
    page += ["", table(costs), *missing, "", LIMITS.read_text(encoding="utf-8")]
    (RESULTS / "parts.md").write_text("\n".join(page), encoding="utf-8")
    rows = [
        {
            "part": cost.title,
            "scenario": cost.scenario.name,
            "unit": cost.scenario.unit,
            "taken_out": cost.saved,
            "base_us": [[round(cost.us(base), 2) for base in bases] for bases in cost.bases],
            "part_us": [round(cost.us(run), 2) for run in cost.runs],
            "base_wall_s": [[round(base["wall_s"], 3) for base in bases] for bases in cost.bases],
            "part_wall_s": [round(run["wall_s"], 3) for run in cost.runs],
        }
        for cost in costs
    ]
    document = {"conditions": found_under, "left_out": list(left_out), "costs": rows}
    (RESULTS / "parts.json").write_text(report.compact(json.dumps(document, indent=1)) + "\n", encoding="utf-8")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.parts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--part", action="append", choices=[*(setup.name for setup in PARTS), BARE_TLS], help="only this one; again for more"
    )
    parser.add_argument("--scenario", nargs="+", default=list(CALLS), choices=list(CALLS))
    parser.add_argument("--rounds", type=int, help="runs of each part in each scenario (default: 7 of unary calls, 5 of streams)")
    parser.add_argument("--connections", type=int, default=4, help="connections that the callers share (default 4)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the upstream's pacing (default 1)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Measures and tells; a whole run is written down. Returns 0 if every part could be measured, 2 otherwise."""
    options = parse(arguments)
    start = time.monotonic()
    try:
        costs, left_out = run(options)
    except (build.BuildError, servers.StartError, LoadError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    rounds = options.rounds or " and ".join(str(ROUNDS[name]) for name in options.scenario)
    found_under = report.conditions(f"seed {options.seed}, {rounds} rounds a part, {options.connections} connections")
    print(f"\n{table(costs)}\n\n{time.monotonic() - start:.0f} s")
    if not options.part and options.scenario == list(CALLS):
        write(costs, left_out, found_under)
    return 2 if left_out else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
