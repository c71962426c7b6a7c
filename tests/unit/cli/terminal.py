"""The program in a pseudo-terminal, typed at and read as a person would."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import Self

from tests.support.tracing import UNTRACED_THREADS

# Makes the pseudo-terminal the process's controlling one, so that Ctrl-C is a signal, then becomes the program. It tells where it stands when asked to.
_BECOME = f"""
{UNTRACED_THREADS}
import faulthandler, fcntl, signal, sys, termios
faulthandler.register(signal.SIGUSR1, all_threads=True)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from antiphon.cli.main import run
sys.argv = ["antiphon", *sys.argv[1:]]
run()
"""
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[=>78])")
_PATIENCE_S = 30.0
_TELLING_S = 2.0

CTRL_C = "\x03"
CTRL_D = "\x04"
CTRL_U = "\x15"
READY = "you ›"  # noqa: RUF001  # the prompt


class Terminal:
    """A running program.

    Attributes:
        shown: Everything that it has written, without the sequences that move and colour.
    """

    def __init__(self, *arguments: str) -> None:
        self.shown = ""
        self._read_to = 0
        self._raw = b""
        self._master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _BECOME, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def type(self, text: str) -> Self:
        """Presses keys."""
        os.write(self._master, text.encode())
        return self

    def say(self, line: str) -> Self:
        """Types a line and presses Enter."""
        return self.type(line + "\r")

    def see(self, text: str) -> Self:
        """Waits until the text is shown, after what was seen before."""
        deadline = time.monotonic() + _PATIENCE_S
        while (found := self.shown.find(text, self._read_to)) == -1:
            if not self._read(deadline):
                shown = self.shown[self._read_to :]
                raise AssertionError(f"{text!r} was not shown; what was: {shown!r}; the program stands at:\n{self._stacks()}")
        self._read_to = found + len(text)
        return self

    def exit_code(self) -> int:
        """Waits for the program's end."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._read(deadline):
            pass
        return self.process.wait(max(0.1, deadline - time.monotonic()))

    def close(self) -> None:
        """Ends the program if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _stacks(self) -> str:
        """What each thread of the program is at."""
        if self.process.poll() is not None:
            return f"its end, exit code {self.process.returncode}"
        shown = len(self.shown)
        self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + _TELLING_S
        while self._read(deadline):
            pass
        return self.shown[shown:]

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return False
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            if more := os.read(self._master, 65536):
                self._raw += more
                self.shown = _ESCAPES.sub("", self._raw.decode(errors="replace"))
                return True
        return False
