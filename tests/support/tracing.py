"""Keeps coverage's tracing out of threads while signals come.

In Python 3.11 a traced thread other than the main one runs in circles from a signal's arrival until the main thread has handled it (coveragepy#1626). Where
the main thread waits for a lock of that thread's, as it does in synchronous gRPC while an answer is decoded, that is for ever.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

# What a program that will get signals begins with.
UNTRACED_THREADS = "import threading; threading.settrace(None)"


@contextmanager
def untraced_threads() -> Generator[None]:
    """Has threads started within it run untraced."""
    tracer = threading.gettrace()
    threading.settrace(None)
    try:
        yield
    finally:
        threading.settrace(tracer)
