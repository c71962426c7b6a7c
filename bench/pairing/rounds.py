"""Runs a scenario against two servers in turn, and compares neighbours."""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.pairing.scenarios import Scenario
    from bench.pairing.servers import Running

RUN_TIMEOUT_S = 60.0
WARM_UP_CALLS = 200


class LoadError(Exception):
    """The generator found a server's answers wrong, or a run did not end. The message says what was seen."""


class Percentiles(TypedDict):
    """A sample, in milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


class Cpu(TypedDict):
    """The CPU time of a process tree in seconds; the split is in the kernel's ticks of 10 ms."""

    s: float
    user_s: float
    system_s: float


class Run(TypedDict):
    """What the generator tells of one run; see `bench/load/report.go`."""

    wall_s: float
    calls: int
    tokens: int
    messages: int
    deliveries: int
    message_bytes: int
    server_cpu_us_per_call: float
    server_cpu_us_per_token: float
    server_cpu: Cpu
    upstream_cpu: Cpu
    generator_cpu: Cpu
    latency_ms: Percentiles
    first_ms: Percentiles
    gap_ms: Percentiles
    upstream_seen: dict[str, int]
    failures: list[str]


@dataclass(frozen=True, slots=True)
class Generator:
    """The load generator, ready to run.

    Attributes:
        binary: The program.
        protoset: The contract's descriptors.
        upstream: The mock upstream, whose counters it compares.
        folder: Where requests are written.
        connections: Connections that the callers share.
        fixed_window: Whether the client's bandwidth probe is off; see `bench/load/main.go`.
    """

    binary: Path
    protoset: Path
    upstream: Running
    folder: Path
    connections: int
    fixed_window: bool = False

    def run(self, scenario: Scenario, server: Running, *, window: bool, calls: int | None = None, deadline_s: float = RUN_TIMEOUT_S) -> Run:
        """Runs a scenario once, or the first calls of it.

        Raises:
            LoadError: A call failed, an answer was wrong, or the run took too long.
        """
        request = self.folder / f"{scenario.name}{'-window' if window else ''}.json"
        request.write_text(json.dumps(scenario.request(window=window)), encoding="utf-8")
        command = [str(self.binary), f"-target={server.address}", f"-server-pid={server.pid}"]
        command += [f"-upstream={self.upstream.address}", f"-upstream-pid={self.upstream.pid}"]
        command += [f"-protoset={self.protoset}", f"-request={request}", f"-model=bench/{scenario.workload}"]
        command += [f"-stream={str(scenario.stream).lower()}", f"-connections={self.connections}"]
        command += [f"-concurrency={scenario.concurrency}", f"-calls={calls or scenario.calls}"]
        command += [f"-ramp={scenario.ramp_s}s", f"-deadline={deadline_s}s"]
        command += [f"-fixed-window={str(self.fixed_window).lower()}", f"-settle={server.settle_s}s"]
        command += [f"-key={server.key}"] if server.key else []
        command += [f"-authority={server.authority}"] if server.authority else []
        command += ["-json"] if server.json else []
        try:
            # The generator ends by its own deadline; the longer one here is for a generator that hangs.
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT_S + 15)
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"{scenario.name} against {server.name}: the generator did not end") from error
        if done.returncode not in (0, 1):
            raise LoadError(f"{scenario.name} against {server.name}: {done.stderr.strip()}")
        outcome = cast("Run", json.loads(done.stdout))
        if outcome["failures"]:
            raise LoadError(f"{scenario.name} against {server.name}: " + "; ".join(outcome["failures"]))
        return outcome


@dataclass(frozen=True, slots=True)
class Comparison:
    """A scenario's runs, and what they come to.

    Attributes:
        scenario: What was run.
        baseline: The bare server's runs, one more than rounds: one on each side of every run of the candidate.
        candidate: The candidate's runs, one a round.
    """

    scenario: Scenario
    baseline: list[Run]
    candidate: list[Run]

    def cost_us(self, run: Run) -> float:
        """Returns the server's CPU per unit in microseconds."""
        return run["server_cpu_us_per_call"] if self.scenario.unit == "call" else run["server_cpu_us_per_token"]

    @property
    def ratios(self) -> list[float]:
        """Each round's cost of the candidate over the mean of the bare server's runs just before and just after it."""
        costs = [self.cost_us(run) for run in self.baseline]
        return [
            self.cost_us(run) / statistics.mean(neighbours)
            for run, neighbours in zip(self.candidate, itertools.pairwise(costs), strict=True)
        ]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def longer_gap_ms(self) -> float:
        """How much longer the candidate's gap between deliveries is at p99: the median of the rounds' differences."""
        gaps = [run["gap_ms"]["p99"] for run in self.baseline]
        pairs = zip(self.candidate, itertools.pairwise(gaps), strict=True)
        return statistics.median(run["gap_ms"]["p99"] - statistics.mean(neighbours) for run, neighbours in pairs)

    @property
    def verdicts(self) -> list[tuple[str, bool]]:
        """Each bar in words, and whether it is met."""
        scenario = self.scenario
        found = [(f"at most {scenario.most_ratio:g} x bare per {scenario.unit}", self.ratio <= scenario.most_ratio)]
        if scenario.most_gap_ms is not None:
            found.append((f"gap p99 at most {scenario.most_gap_ms:g} ms longer", self.longer_gap_ms <= scenario.most_gap_ms))
        return found


def compare(
    generator: Generator, scenario: Scenario, bare: Running, candidate: Running, *, rounds: int, progress: Callable[[str], None]
) -> Comparison:
    """Warms both servers up, then runs them in turn, the bare one first and last.

    Raises:
        LoadError: A run failed.
    """
    warm_up = scenario.calls if scenario.stream else WARM_UP_CALLS
    for server in (bare, candidate):
        generator.run(scenario, server, window=server is candidate, calls=warm_up)
    comparison = Comparison(scenario, [generator.run(scenario, bare, window=False)], [])
    for number in range(1, rounds + 1):
        comparison.candidate.append(generator.run(scenario, candidate, window=True))
        comparison.baseline.append(generator.run(scenario, bare, window=False))
        progress(f"{scenario.name}: round {number} of {rounds}, {comparison.ratios[-1]:.2f} x bare")
    return comparison
