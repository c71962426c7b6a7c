"""What a server does with five times the calls that it can take: how much of its peak it still delivers, what a refusal costs, and whether it says how it does.

Two situations. In the first the limit on concurrent calls decides: the provider takes its time, and there is processor time left. In the second the
processor decides: the provider answers at once. There callers come as they are in both ways that callers can be: heeding the server's RetryInfo, and not.

`make campaign-overload` writes `bench/results/overload.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from antiphon.api.completion.v1.completion_service_pb2 import CompleteRequest
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from bench.campaigns.raw_calls import Offer, closed_loop, open_loop
from bench.pairing.build import build
from bench.pairing.report import commit
from bench.pairing.servers import free_port, run, upstream
from bench.quantiles import quantile

if TYPE_CHECKING:
    from bench.pairing.servers import Running

RESULTS = Path(__file__).parents[1] / "results" / "overload.md"
METHOD = "/antiphon.api.completion.v1.CompletionService/Complete"
TIMES = 5
LIMIT = 64
GOODPUT_BAR = 0.9
REFUSAL_BAR = 0.5
HEALTH_BAR_MS = 250.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Situation:
    """One situation under overload.

    Attributes:
        name: What decides, and how callers are.
        peak: Answers a second at the limit.
        goodput: Answers a second under overload.
        offered: Calls a second that were made under overload.
        answer_ms: Median time to an answer under overload.
        refusal_ms: Median time to a refusal.
        health_ms: Median and 99th percentile of each health method.
        health_failures: Health calls that failed.
        judged: Whether the bar on goodput is held against it.
    """

    name: str
    peak: float
    goodput: float
    offered: float
    answer_ms: float
    refusal_ms: float
    health_ms: dict[str, tuple[float, float]]
    health_failures: int
    judged: bool = True

    @property
    def kept(self) -> float:
        """The share of the peak that is still delivered."""
        return self.goodput / self.peak


def request(model: str) -> bytes:
    """Returns a call's request."""
    spec = CompletionSpec(model=f"bench/{model}", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Say something.")])])
    return CompleteRequest(spec=spec).SerializeToString()


def server(upstream_address: str, folder: Path, *, limit: int) -> Any:
    """Runs a server with a limit on concurrent calls, as a context."""
    port = free_port()
    document = {
        "server": {"host": "127.0.0.1", "grpc_port": port, "http_port": free_port()},
        "limits": {"concurrent_calls": limit},
        "providers": {"bench": {"type": "openai", "base_url": f"http://{upstream_address}/v1", "api_key": "bench"}},
    }
    config = folder / "antiphon.yaml"
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    return run("antiphon", [sys.executable, "-m", "antiphon", "serve", "--config", str(config)], port, folder)


def bare(upstream_address: str, folder: Path) -> Any:
    """Runs the bare server, as a context."""
    port = free_port()
    command = [sys.executable, "-m", "bench.bare.server", "--listen", f"127.0.0.1:{port}", "--upstream", f"http://{upstream_address}/v1"]
    return run("bare", command, port, folder)


def cpu_s(pid: int) -> float:
    """Returns the processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def overloaded(
    name: str, target: Running, body: bytes, *, callers: int, lasts_s: float, heeding: random.Random | None, judged: bool = True
) -> Situation:
    """Finds the peak with so many callers as the limit lets in, then offers five times as much."""
    offer = Offer(target.address, METHOD, body)
    await closed_loop(offer, callers=callers, lasts_s=min(1, lasts_s))
    tally, took_s = await closed_loop(offer, callers=callers, lasts_s=lasts_s)
    peak = tally.answered / took_s
    probing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.campaigns.health_probe", target.address, "--lasts-s", str(lasts_s), stdout=subprocess.PIPE
    )
    await asyncio.sleep(1)  # it starts
    if heeding is None:
        tally, took_s = await open_loop(offer, rate=TIMES * peak, lasts_s=lasts_s)
    else:
        # What the server names, 0.25 s to 1 s, and beside it a random wait that grows, as the SDK has it.
        def wait_s(refusals: int) -> float:
            return heeding.uniform(0.25, 1) + heeding.uniform(0, min(5, 0.1 * 2**refusals))

        tally, took_s = await closed_loop(offer, callers=TIMES * callers, lasts_s=lasts_s, wait_s=wait_s)
    told = json.loads((await probing.communicate())[0])
    return Situation(
        name=name,
        peak=peak,
        goodput=tally.answered / took_s,
        offered=(tally.answered + tally.refused) / took_s,
        answer_ms=_median_ms(tally.latencies_s),
        refusal_ms=_median_ms(tally.refusal_s),
        health_ms={method: (quantile(seen["latencies_ms"], 0.5), quantile(seen["latencies_ms"], 0.99)) for method, seen in told.items()},
        health_failures=sum(seen["failures"] for seen in told.values()),
        judged=judged,
    )


async def refusal_us(target: Running, *, limit: int, lasts_s: float, rate: float) -> tuple[float, float]:
    """Fills a server, and returns the processor time of each call that it then refuses, in microseconds, and the refusals a second."""
    filling = asyncio.create_task(
        closed_loop(Offer(target.address, METHOD, request("mock-t1-r0-d600000")), callers=limit, lasts_s=lasts_s + 1.5)
    )
    await asyncio.sleep(0.8)
    before_s = cpu_s(target.pid)
    tally, took_s = await open_loop(Offer(target.address, METHOD, request("mock-t20-r0")), rate=rate, lasts_s=lasts_s)
    used_s = cpu_s(target.pid) - before_s
    await filling
    if tally.answered or not tally.refused:
        raise RuntimeError(f"a full server answered {tally.answered} calls and refused {tally.refused}")
    return used_s / tally.refused * 1e6, tally.refused / took_s


async def bare_us(target: Running, *, lasts_s: float) -> float:
    """Returns the processor time of a call to the bare server, in microseconds."""
    offer = Offer(target.address, METHOD, request("mock-t20-r0"))
    await closed_loop(offer, callers=32, lasts_s=min(1, lasts_s))
    before_s = cpu_s(target.pid)
    tally, _ = await closed_loop(offer, callers=32, lasts_s=lasts_s)
    return (cpu_s(target.pid) - before_s) / tally.answered * 1e6


async def campaign(seed: int, lasts_s: float, rounds: int, folder: Path) -> tuple[list[Situation], list[float], list[float]]:
    """Runs everything; returns the situations, and the costs of refusals and of bare calls in microseconds, a round each."""
    chance = random.Random(seed)  # noqa: S311  # seeded on purpose
    mock = build("upstream")
    refusals: list[float] = []
    bares: list[float] = []
    situations: list[Situation] = []
    with upstream(mock, seed, folder) as provider:
        for _ in range(rounds):
            with bare(provider.address, folder) as running:
                bares.append(await bare_us(running, lasts_s=lasts_s))
            with server(provider.address, folder, limit=LIMIT) as running:
                refusals.append((await refusal_us(running, limit=LIMIT, lasts_s=lasts_s, rate=1500))[0])
        slow, fast = request("mock-t20-r0-d200"), request("mock-t20-r0")
        for name, body, heeding, judged in (
            ("the limit decides; callers do not heed", slow, None, True),
            ("the processor decides; callers heed RetryInfo", fast, chance, True),
            ("the processor decides; callers do not heed", fast, None, False),
        ):
            with server(provider.address, folder, limit=LIMIT) as running:
                situations.append(await overloaded(name, running, body, callers=LIMIT, lasts_s=lasts_s, heeding=heeding, judged=judged))
    return situations, refusals, bares


def report(situations: list[Situation], refusals: list[float], bares: list[float], header: str) -> str:
    """Writes the results."""
    share = statistics.median(refusal / bare_call for refusal, bare_call in zip(refusals, bares, strict=True))
    lines = [
        "# Overload",
        "",
        header,
        "",
        (
            f"A refusal costs {statistics.median(refusals):.0f} us of processor time, a call of the bare server {statistics.median(bares):.0f} us: "
            f"{share:.2f} of it (median of {len(bares)} pairs; the bar is {REFUSAL_BAR})."
        ),
        "",
        (
            f"| what decides, limit {LIMIT} | peak, answers/s | offered, calls/s | goodput, answers/s | kept | answer p50 | refusal p50 | "
            "Check p50 / p99 | CheckHealth p50 / p99 | health failures |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in situations:
        health = " | ".join(f"{p50:.0f} / {p99:.0f} ms" for p50, p99 in one.health_ms.values())
        bar = "" if one.judged else " (no bar)"
        lines.append(
            f"| {one.name} | {one.peak:.0f} | {one.offered:.0f} | {one.goodput:.0f} | {one.kept:.0%}{bar} | {one.answer_ms:.0f} ms | "
            f"{one.refusal_ms:.0f} ms | {health} | {one.health_failures} |"
        )
    lines += [
        "",
        (
            f"Bars: {GOODPUT_BAR:.0%} of the peak kept, and the 99th percentile of health at most {HEALTH_BAR_MS:.0f} ms. The last row has none: callers who "
            "do not heed a refusal spend the processor that decides there, a refusal's share of a call each."
        ),
        "",
    ]
    return "\n".join(lines)


def missed(situations: list[Situation], refusals: list[float], bares: list[float]) -> list[str]:
    """Returns the bars that were missed."""
    share = statistics.median(refusal / bare_call for refusal, bare_call in zip(refusals, bares, strict=True))
    found = [f"a refusal costs {share:.2f} of a bare call"] if share > REFUSAL_BAR else []
    for one in situations:
        if one.judged and one.kept < GOODPUT_BAR:
            found.append(f"{one.name}: {one.kept:.0%} of the peak")
        if one.judged and (one.health_failures or max(p99 for _, p99 in one.health_ms.values()) > HEALTH_BAR_MS):
            found.append(f"{one.name}: health")
    return found


def _median_ms(values_s: list[float]) -> float:
    return quantile((value * 1000 for value in values_s), 0.5)


def main() -> int:
    """Runs the campaign, prints it and writes it down; fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lasts-s", type=float, default=15, help="how long each run lasts")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of a refusal's and a bare call's cost")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(campaign(options.seed, options.lasts_s, options.rounds, Path(folder)))
    text = report(*outcome, f"Commit {commit()}, seed {options.seed}, {options.lasts_s:g} s a run, {os.cpu_count()} processors.")
    print(text)
    options.results.write_text(text, encoding="utf-8")
    found = missed(*outcome)
    for one in found:
        print(f"missed: {one}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
