"""A worker that answers no more is found out, by more than one answer that it owes; one that is slow once, or gone, is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from antiphon.workers import heartbeat
from antiphon.workers.worker_process import WorkerError


class FakeProcess:
    """Answers as told, and is gone afterwards."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def ask(self, name: str, *, timeout_s: float) -> None:
        assert (heartbeat.ALIVE, True) == (name, timeout_s > 0)
        answer = self.answers.pop(0) if self.answers else "gone"
        if answer == "late":
            raise WorkerError("late") from TimeoutError()
        if answer == "gone":
            raise WorkerError("gone")


@pytest.mark.parametrize(
    ("answers", "hangs"),
    [
        (["late", "late"], True),
        (["here", "late", "late"], True),
        (["late", "here", "late", "here"], False),
        (["here", "gone"], False),
        (["late", "gone"], False),
    ],
)
async def test_two_answers_owed_in_a_row_are_a_worker_that_hangs(monkeypatch: pytest.MonkeyPatch, answers: list[str], hangs: bool) -> None:
    monkeypatch.setattr(heartbeat, "_EVERY_S", 0.0)
    process = FakeProcess(*answers)
    assert hangs == await heartbeat.hanging(cast("Any", process))
    assert [] == process.answers
