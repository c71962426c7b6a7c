"""Keeps what is typed while an answer is drawn from spoiling the drawing."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@dataclass(slots=True)
class Interruption:
    """Whether Ctrl-C was pressed."""

    heard: bool = False


@contextlib.contextmanager
def interrupted_by(stop: Callable[[], None]) -> Generator[Interruption]:
    """Has Ctrl-C call `stop` instead of raising KeyboardInterrupt, which could rise in the midst of gRPC's own work and leave its channel stuck.

    Yields:
        What tells afterwards whether Ctrl-C was pressed.
    """
    interruption = Interruption()
    # The handler may interrupt the very code that holds the locks which `stop`, an event or a thread's start needs, so another thread calls `stop`, and
    # is told by what may interrupt even itself.
    presses: queue.SimpleQueue[signal.Signals | None] = queue.SimpleQueue()

    def heed(_: int, __: object) -> None:
        interruption.heard = True
        presses.put(signal.SIGINT)

    def obey() -> None:
        while presses.get():
            stop()

    listener = threading.Thread(target=obey, name="ctrl-c", daemon=True)
    listener.start()
    before = signal.signal(signal.SIGINT, heed)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
        presses.put(None)
        listener.join()


@contextlib.contextmanager
def unheard_keyboard() -> Generator[None]:
    """Shows nothing of what is typed, the `^C` of Ctrl-C included, and forgets it at the end. Ctrl-C itself works. Does nothing where there is no keyboard."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios

    descriptor = sys.stdin.fileno()
    if os.tcgetpgrp(descriptor) != os.getpgrp():
        # In the background: the keyboard is another program's, and to touch it would stop this one.
        yield
        return
    before = termios.tcgetattr(descriptor)
    quiet = [*before]
    quiet[3] &= ~(termios.ECHO | termios.ECHOCTL)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        termios.tcflush(descriptor, termios.TCIFLUSH)
