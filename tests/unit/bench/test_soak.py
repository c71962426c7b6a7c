"""A soak fails when something is kept that should be let go of, and its slopes and readings are what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from bench.soak.run import Bounds, Outcome, Plan
from bench.soak.samples import MIB, Sample, chart, look, slope_an_hour, tree

PLAN = Plan(seconds=600, warm_up_s=180, rate=40, seed=1)
BOUNDS = Bounds(memory_mib_an_hour=12, memory_mib=40)
REST = Sample(
    at_s=0, rss_bytes=90 * MIB, pss_bytes=80 * MIB, uss_bytes=70 * MIB, descriptors=26, threads=10, tasks=5, upstream_connections=3, calls=0
)
CALM = Outcome(
    plan=PLAN,
    second_port=True,
    ended=Counter({("unary", "OK"): 100}),
    unexpected=Counter(),
    before=REST,
    samples=[replace(REST, at_s=float(at_s)) for at_s in range(0, 600, 5)],
    after=REST,
    error_lines=[],
    cancelled_share=0.2,
)


def test_a_calm_server_passes() -> None:
    assert [] == CALM.problems(BOUNDS)


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (replace(CALM, unexpected=Counter({("unary", "INTERNAL"): 2})), "unary ended with INTERNAL, 2 times"),
        (replace(CALM, error_lines=["one", "two"]), "2 lines of level error in the server's log, the first of them one"),
        (replace(CALM, after=replace(REST, descriptors=31)), "descriptors: 26 before the load, 31 after it; at most 4 more are allowed"),
        (replace(CALM, after=replace(REST, tasks=8)), "tasks: 5 before the load, 8 after it; at most 2 more are allowed"),
        (replace(CALM, after=replace(REST, threads=19)), "threads: 10 before the load, 19 after it; at most 8 more are allowed"),
        (replace(CALM, after=replace(REST, rss_bytes=131 * MIB)), "memory rose by 41.0 MiB; at most 40 are allowed"),
    ],
)
def test_what_stays_behind_is_told(outcome: Outcome, problem: str) -> None:
    assert [problem] == outcome.problems(BOUNDS)


def test_a_slow_leak_is_found_by_its_slope_after_the_warm_up() -> None:
    leaking = [replace(REST, at_s=float(at_s), rss_bytes=90 * MIB + at_s * MIB // 180) for at_s in range(0, 600, 5)]
    warming = [replace(REST, at_s=float(at_s), rss_bytes=90 * MIB + min(at_s, 180) * MIB // 18) for at_s in range(0, 600, 5)]
    assert ["memory rises by 20.0 MiB an hour; at most 12 are allowed"] == replace(CALM, samples=leaking).problems(BOUNDS)
    assert [] == replace(CALM, samples=warming).problems(BOUNDS)


def test_a_slope_is_fitted_by_least_squares() -> None:
    assert 3600.0 == pytest.approx(slope_an_hour([(0, 1), (1, 2), (2, 3), (3, 4)]))
    assert 0.0 == slope_an_hour([(0, 1), (1, 2)])


def test_a_chart_runs_from_the_least_to_the_most() -> None:
    assert "▁▄█" == chart([1, 2, 3])
    assert "▁▁" == chart([5, 5])
    assert 100 == len(chart(list(range(1000))))


def test_a_process_is_looked_at_with_its_descendants() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        while len(tree(parent.pid)) < 2:
            assert parent.poll() is None
        found = look(parent.pid, at_s=1, metrics="antiphon_tasks 4.0\nantiphon_tasks_of_others 9\n", upstream_connections=2, calls=3)
    finally:
        parent.communicate(b"\n")
    assert 0 < found.uss_bytes <= found.pss_bytes <= found.rss_bytes
    assert found.threads >= 2
    assert 4 == found.tasks
    assert os.getpid() not in tree(parent.pid)
