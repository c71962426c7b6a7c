"""Keeps what is typed while an answer is drawn from spoiling the drawing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextlib.contextmanager
def interrupted_by(stop: Callable[[], None]) -> Generator[threading.Event]:
    """Has Ctrl-C call `stop` instead of raising KeyboardInterrupt, which could rise in the midst of gRPC's own work and leave its channel stuck.

    Yields:
        An event that is set once Ctrl-C was pressed.
    """
    pressed = threading.Event()

    def heed(_: int, __: object) -> None:
        pressed.set()
        # From a thread: the handler may have interrupted the very code that holds the locks which `stop` needs.
        threading.Thread(target=stop, name="ctrl-c", daemon=True).start()

    before = signal.signal(signal.SIGINT, heed)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


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
