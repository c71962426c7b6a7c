"""A worker that dies is started again at once, unless it does so again and again right after its start."""

from __future__ import annotations

from antiphon.workers.back_off import BackOff


def test_the_first_deaths_cost_no_wait() -> None:
    back_off = BackOff()
    assert [0, 0] == [back_off.wait_after_death_s(0.1) for _ in range(2)]


def test_early_deaths_in_a_row_wait_longer_and_longer_up_to_a_bound() -> None:
    back_off = BackOff()
    assert [0, 0, 0.5, 1, 2, 4, 8, 16, 30, 30] == [back_off.wait_after_death_s(0.0) for _ in range(10)]


def test_a_worker_that_served_for_a_while_is_back_at_once() -> None:
    back_off = BackOff()
    for _ in range(5):
        back_off.wait_after_death_s(0.0)
    assert [0, 0, 0, 0.5] == [back_off.wait_after_death_s(served_s) for served_s in (10, 0, 0, 0)]
