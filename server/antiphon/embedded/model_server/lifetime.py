"""The process never outlives its parent: the kernel's signal and the end of standard input both end it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

# What the kernel sends when the parent is gone. Not SIGKILL, after which the folder would stay: the event loop takes this one.
PARENT_DIED = signal.SIGUSR1
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent_pid: int, stdin: BinaryIO, runtime_dir: Path) -> None:
    """Arrange that this process ends when its parent dies, however it dies.

    Args:
        parent_pid: The parent, to notice that it died before this call.
        stdin: Held open by the parent; its end means that the parent is gone.
        runtime_dir: Removed before the process ends.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, PARENT_DIED)
        if os.getppid() != parent_pid:
            leave(runtime_dir, 1)

    def watch() -> None:
        while stdin.read(1024):
            pass
        leave(runtime_dir, 0)

    # A thread and not the event loop: it must work while the loop is stuck.
    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def leave(runtime_dir: Path, exit_code: int) -> NoReturn:
    """End at once, without the destructors of native libraries, which wait for threads that may be computing."""
    shutil.rmtree(runtime_dir, ignore_errors=True)
    os._exit(exit_code)
