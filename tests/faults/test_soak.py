"""Under a mixed load with cancelled, late, wrong and unwelcome calls, a real server ends each call as it should, and lets go of all that the calls held.

`make soak` runs half an hour of the same code and judges the slope of its memory, which half a minute cannot.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bench.pairing import build, servers
from bench.pairing.setups import EVERYTHING
from bench.soak.run import Bounds, Plan, soak

if TYPE_CHECKING:
    from pathlib import Path

SEED = 20_261_122
# A server's first seconds fill its pools and caches; what half a minute adds beyond this is a leak in every call.
MOST_MIB = 40


@pytest.fixture(scope="module")
def upstream_binary() -> Path:
    try:
        return build.build("upstream")
    except build.BuildError as error:
        pytest.skip(f"the mock upstream could not be built: {error}")


# The first build of the upstream takes its time, and is no part of the test.
@pytest.mark.timeout(60, func_only=True)
def test_nothing_stays_behind_when_calls_end_in_every_way(upstream_binary: Path, tmp_path: Path) -> None:
    plan = Plan(seconds=14, warm_up_s=4, rate=30, seed=SEED)
    with servers.upstream(upstream_binary, SEED, tmp_path) as upstream, servers.antiphon(EVERYTHING, upstream.address, tmp_path) as server:
        outcome = asyncio.run(soak(server, upstream, plan))
    assert [] == outcome.problems(Bounds(memory_mib_an_hour=None, memory_mib=MOST_MIB)), f"seed {SEED}"
    # The load was the one that is meant: a soak that calls nothing finds nothing.
    assert outcome.second_port
    assert outcome.before.tasks is not None
    assert 200 < outcome.ended.total()
    assert 0.15 < outcome.cancelled_share < 0.25
    assert {"OK", "CANCELLED", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED"} == {
        code for _, code in outcome.ended
    }
