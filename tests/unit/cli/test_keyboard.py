"""Ctrl-C stops what runs, from outside it, however often and whenever it is pressed."""

from __future__ import annotations

import os
import signal
import threading

from antiphon.cli.keyboard import interrupted_by


def test_ctrl_c_stops_what_runs_and_raises_nothing() -> None:
    stopped = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    with interrupted_by(stopped.set) as interruption:
        assert not interruption.heard
        signal.raise_signal(signal.SIGINT)
        assert stopped.wait(10)
    assert interruption.heard
    assert before == signal.getsignal(signal.SIGINT)


def test_no_press_stops_nothing() -> None:
    stopped = threading.Event()
    with interrupted_by(stopped.set) as interruption:
        pass
    assert not stopped.is_set()
    assert not interruption.heard


def test_presses_that_interrupt_one_another_are_heard() -> None:
    stops: list[int] = []

    def press() -> None:
        for _ in range(2000):
            os.kill(os.getpid(), signal.SIGINT)

    fingers = threading.Thread(target=press)
    with interrupted_by(lambda: stops.append(1)) as interruption:
        fingers.start()
        while fingers.is_alive():
            pass
        fingers.join()
    assert interruption.heard
    assert stops
