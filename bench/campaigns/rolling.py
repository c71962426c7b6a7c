"""Workers replaced by SIGHUP and killed, under load: what callers notice, and how soon a dead worker is back.

The load is the Python SDK's, with its default retry: unary calls and streams, each caller on a connection of its own, against a server of two workers whose
provider is a simulator. First the workers are replaced again and again, one roll after the other; then one that the seed picks is killed, again and again.

`make campaign-rolling` writes `bench/results/rolling.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from bench.pairing.report import commit
from bench.quantiles import quantile
from tests.support.real_server import real_server
from tests.support.sdk_load import Tally, paced_simulator, sdk_load
from tests.support.worker_processes import gone, serving, serving_beside

if TYPE_CHECKING:
    from tests.support.real_server import RealServer

RESULTS = Path(__file__).parents[1] / "results" / "rolling.md"
BACK_BAR_S = 2.0
WORKERS = 2
UNARY_CALLERS, STREAM_CALLERS = 6, 6


@dataclass
class Outcome:
    """What the campaign saw.

    Attributes:
        rolls: What became of the calls while workers were replaced.
        kills: Likewise while they were killed.
        rolled_s: How long each roll took, sorted.
        back_s: How long after each kill another worker listened in the dead one's place, sorted.
    """

    rolls: Tally = field(default_factory=Tally)
    kills: Tally = field(default_factory=Tally)
    rolled_s: list[float] = field(default_factory=list[float])
    back_s: list[float] = field(default_factory=list[float])


async def run(rolls: int, kills: int, seed: int, folder: Path) -> Outcome:
    """Runs both parts; the folder takes the server's configuration and its log."""
    chance = random.Random(seed)  # noqa: S311  # seeded on purpose
    outcome = Outcome()
    async with paced_simulator() as simulator:
        document = {
            "server": {"workers": WORKERS},
            "log": {"level": "warning"},
            "providers": {"sim": {"type": "openai", "base_url": simulator.base_url, "api_key": "test-key"}},
            "aliases": {},
        }
        running = real_server(folder, yaml.safe_dump(document))
        server = await asyncio.to_thread(running.__enter__)
        try:
            async with sdk_load(server.target, unary=UNARY_CALLERS, streams=STREAM_CALLERS) as outcome.rolls:
                for _ in range(rolls):
                    outcome.rolled_s.append(await _roll(server))
            async with sdk_load(server.target, unary=UNARY_CALLERS, streams=STREAM_CALLERS) as outcome.kills:
                for _ in range(kills):
                    # A spare is used at once and takes its time to be made anew.
                    await asyncio.sleep(chance.uniform(5.0, 8.0))
                    outcome.back_s.append(await _kill(server, chance))
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    outcome.rolled_s.sort()
    outcome.back_s.sort()
    return outcome


async def _roll(server: RealServer) -> float:
    before = serving(server)
    began_s = time.monotonic()
    os.kill(server.pid, signal.SIGHUP)
    await serving_beside(server, before, WORKERS, timeout_s=60)
    await gone(before, timeout_s=60)
    return time.monotonic() - began_s


async def _kill(server: RealServer, chance: random.Random) -> float:
    before = serving(server)
    began_s = time.monotonic()
    os.kill(chance.choice(before), signal.SIGKILL)
    await serving_beside(server, before)
    return time.monotonic() - began_s


def report(outcome: Outcome, seed: int) -> str:
    """Writes the figures as Markdown."""
    lines = [
        "# Workers replaced and killed under load",
        "",
        "Written by `make campaign-rolling`; do not edit.",
        "",
        f"- commit: {commit()}",
        f"- seed: {seed}",
        f"- {WORKERS} workers; {UNARY_CALLERS} callers of unary calls and {STREAM_CALLERS} of streams of 0.6 s, each on a connection of its own, default retry",
        "",
        "| | times | unary calls | failed | streams | broken | longest unary call, s | time to be done, s: p50 / p99 / max |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, tally, times in (
        ("replaced (SIGHUP)", outcome.rolls, outcome.rolled_s),
        ("killed (SIGKILL)", outcome.kills, outcome.back_s),
    ):
        spread = " / ".join(f"{quantile(times, share):.2f}" for share in (0.5, 0.99, 1.0))
        lines.append(
            f"| {name} | {len(times)} | {tally.unary} | {len(tally.failed_unary)} | {tally.streams} | {len(tally.broken_streams)} "
            f"| {tally.longest_s:.2f} | {spread} |"
        )
    told = (
        "A roll is done when every worker was replaced and the old ones have ended; a killed worker is back when another listens in its place "
        f"(bar: {BACK_BAR_S:g} s). Calls that a killed worker was working on are lost: a paid call is not made again by itself."
    )
    lines += ["", told]
    reasons = sorted({why for tally in (outcome.rolls, outcome.kills) for _, why in (*tally.failed_unary, *tally.broken_streams)})
    if reasons:
        lines += ["", "Failures were:", "", *(f"- `{why}`" for why in reasons)]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs the campaign, prints it and writes it down; fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rolls", type=int, default=50)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", type=Path, default=RESULTS, help="where the report is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(run(options.rolls, options.kills, options.seed, Path(folder)))
    text = report(outcome, options.seed)
    print(text)
    options.to.write_text(text, encoding="utf-8")
    missed = outcome.rolls.failed_unary or outcome.rolls.broken_streams or quantile(outcome.back_s, 1.0) > BACK_BAR_S
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
