"""How soon a cancelled call closes its provider's connection.

Each trial opens a call against a simulator of the provider, waits for a point of its life, cancels it from the client, and notes when the simulator's
socket saw the connection close. Everything shares one event loop, so what is measured holds the client's, the server's and the simulator's work.

`make bench-cancel` runs 200 trials of each kind and writes `bench/results/cancellation.json`; the default tests run a few of the same code.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from bench.pairing.report import commit
from bench.quantiles import quantile
from tests.simulators.openai import Answer, Delivery, OpenAISimulator
from tests.support.serving import COMPLETION, ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("stream", "unary", "first token")
BAR_MS = 100.0
RESULTS = Path(__file__).parent / "results" / "cancellation.json"
_ENDLESS = Answer(tokens=("token ",) * 8, delivery=Delivery(token_delay_s=0.01, endless=True))
_NO_FIRST_TOKEN = Answer(tokens=("never",), delivery=Delivery(first_token_delay_s=60))
_NO_REPLY = Answer(tokens=("never",), delivery=Delivery(headers_delay_s=60))


@dataclass(frozen=True)
class Outcome:
    """The trials of one kind.

    Attributes:
        kind: What was cancelled.
        closed_ms: From each cancellation to the close, in milliseconds, sorted.
        tasks_left: Tasks after all trials, beyond those before.
    """

    kind: str
    closed_ms: Sequence[float]
    tasks_left: int

    def quantile_ms(self, share: float) -> float:
        """Returns the least time within which this share of the trials closed."""
        return quantile(self.closed_ms, share)


async def run_kind(server: ServerUnderTest, simulator: OpenAISimulator, kind: str, trials: int, chance: random.Random) -> Outcome:
    """Runs the trials of one kind."""
    await _trial(server, simulator, kind, chance)  # opens the channel
    await _settle()
    tasks_before = len(asyncio.all_tasks())
    closed = sorted([await _trial(server, simulator, kind, chance) for _ in range(trials)])
    await _settle()
    return Outcome(kind, closed, len(asyncio.all_tasks()) - tasks_before)


async def run(trials: int, seed: int, folder: Path) -> list[Outcome]:
    """Runs every kind against a server and a simulator of its own; the folder takes the server's configuration."""
    chance = random.Random(seed)  # noqa: S311  # seeded on purpose
    async with OpenAISimulator(api_key="key") as simulator:
        settings = {"providers": {"sim": {"type": "openai", "base_url": simulator.base_url, "api_key": "key"}}, "aliases": {}}
        async with serving(folder, settings) as server:
            return [await run_kind(server, simulator, kind, trials, chance) for kind in KINDS]


async def _trial(server: ServerUnderTest, simulator: OpenAISimulator, kind: str, chance: random.Random) -> float:
    spec = CompletionSpec(model="sim/sim-1", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Go on.")])])
    asked = len(simulator.requests) + 1
    if kind == "unary":
        simulator.script(_NO_REPLY)
        call = asyncio.create_task(server.complete(pb.CompleteRequest(spec=spec)))
        await simulator.received(asked)
    else:
        simulator.script(_ENDLESS if kind == "stream" else _NO_FIRST_TOKEN)
        call = server.stream(f"{COMPLETION}/StreamComplete", pb.StreamCompleteRequest(spec=spec), pb.StreamCompleteResponse)
        await simulator.received(asked)
        if kind == "stream":
            async for response in call:
                if response.event.HasField("part_delta"):
                    break
    await asyncio.sleep(chance.uniform(0, 0.03))
    cancelled_s = time.monotonic()
    call.cancel()
    return (await simulator.disconnected() - cancelled_s) * 1000


async def _settle() -> None:
    await asyncio.sleep(0.2)


def main() -> int:
    """Runs the campaign, prints it and writes it down; fails when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = asyncio.run(run(options.trials, options.seed, Path(folder)))
    kinds = {
        outcome.kind: {
            "p50_ms": round(outcome.quantile_ms(0.5), 2),
            "p99_ms": round(outcome.quantile_ms(0.99), 2),
            "max_ms": round(outcome.closed_ms[-1], 2),
            "tasks_left": outcome.tasks_left,
        }
        for outcome in outcomes
    }
    for kind, figures in kinds.items():
        print(f"{kind:<12} {figures}")
    document = {"commit": commit(), "seed": options.seed, "trials": options.trials, "bar_p99_ms": BAR_MS, "kinds": kinds}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    missed = [outcome.kind for outcome in outcomes if outcome.quantile_ms(0.99) > BAR_MS or outcome.tasks_left]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
