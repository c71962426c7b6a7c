"""Cancelling a call, wherever it is, closes the provider's connection and leaves no task behind; `make bench-cancel` measures how soon."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import cancellation

if TYPE_CHECKING:
    from pathlib import Path

SEED = 20261122
TRIALS = 8
# The campaign's bar is 100 ms at p99 of 200 trials; here the machine may be busy with anything.
GENEROUS_MS = 2_000.0


async def test_every_kind_of_cancelled_call_closes_its_connection(tmp_path: Path) -> None:
    outcomes = await cancellation.run(TRIALS, SEED, tmp_path)
    assert list(cancellation.KINDS) == [outcome.kind for outcome in outcomes]
    assert [0, 0, 0] == [outcome.tasks_left for outcome in outcomes]
    assert all(outcome.closed_ms[-1] < GENEROUS_MS for outcome in outcomes), outcomes
