"""The scenarios of the paired bench and the bars that they are held to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# Shared by all scenarios: a short conversation, as small as real ones get, so that the server's own work is what is seen.
MESSAGES = [
    {"role": "ROLE_SYSTEM", "parts": [{"text": "You are a helpful assistant."}]},
    {"role": "ROLE_USER", "parts": [{"text": "Tell me how a stream of tokens travels from a model to its reader."}]},
]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load, run against both servers in turn.

    Attributes:
        name: Names it in results and on the command line.
        title: What a reader sees.
        workload: The upstream's model, which says how many tokens come and how fast.
        stream: Whether StreamComplete is called, else Complete.
        concurrency: Callers at work at the same time.
        calls: Calls in one run.
        ramp_s: The time over which the callers start.
        merge_window_s: The merge window that the candidate is asked for; the bare server has none to ask for.
        unit: What CPU is counted by.
        most_ratio: The bar: the candidate's CPU per unit over the bare server's, at most.
        most_gap_ms: The bar on how much longer the gap between deliveries may be at p99; None where there is no such bar.
    """

    name: str
    title: str
    workload: str
    stream: bool
    concurrency: int
    calls: int
    unit: Literal["call", "token"]
    most_ratio: float
    ramp_s: float = 0.0
    merge_window_s: float = 0.0
    most_gap_ms: float | None = None

    def request(self, *, window: bool) -> dict[str, object]:
        """Returns the request as JSON; the generator puts the model in."""
        request: dict[str, object] = {"spec": {"messages": MESSAGES}}
        if window and self.merge_window_s:
            request["mergeWindow"] = f"{self.merge_window_s}s"
        return request


# Runs are short on purpose: on a shared machine a core's speed drifts by half within seconds, and what makes a ratio steady is many pairs of
# neighbouring runs, not long ones.
SCENARIOS = (
    Scenario(
        name="unary",
        title="unary, 32 in flight, 20 tokens",
        workload="mock-t20-r0",
        stream=False,
        concurrency=32,
        calls=2000,
        unit="call",
        most_ratio=2.0,
    ),
    Scenario(
        name="paced",
        title="100 streams at 50 tokens/s, 150 tokens each",
        workload="mock-t150-r50",
        stream=True,
        concurrency=100,
        calls=100,
        ramp_s=0.5,
        unit="token",
        most_ratio=1.3,
    ),
    Scenario(
        name="saturated",
        title="8 streams as fast as they go, 6,000 tokens each",
        workload="mock-t6000-r0",
        stream=True,
        concurrency=8,
        calls=8,
        unit="token",
        most_ratio=0.6,
        most_gap_ms=20.0,
    ),
    Scenario(
        name="window",
        title="100 streams at 50 tokens/s, merge window 50 ms",
        workload="mock-t150-r50",
        stream=True,
        concurrency=100,
        calls=100,
        ramp_s=0.5,
        merge_window_s=0.05,
        unit="token",
        most_ratio=0.5,
    ),
)
