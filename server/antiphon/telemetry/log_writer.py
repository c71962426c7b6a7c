"""Log lines leave by a thread: a full pipe must never hold the event loop."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import RawIOBase

_MOST_LINES = 10_000
_RETRY_S = 0.01
# POSIX's least: what several workers write to one pipe at the same time is not mixed up to this size.
_WHOLE_BYTES = 4096
# Waking the thread for each line would cost a busy server more than the lines do.
_GATHER_S = 0.05


class LogWriter:
    """Writes lines in batches from its own thread; past 10,000 waiting lines the oldest are dropped and their number is told.

    Attributes:
        dropped: How many were dropped so far.
    """

    def __init__(self, stream: RawIOBase | BinaryIO | None = None) -> None:
        # Standard error without its buffer: a thread that waits in a buffered write holds the buffer's lock, on which the interpreter dies at its end.
        self._stream = stream or cast("RawIOBase", getattr(sys.stderr.buffer, "raw", sys.stderr.buffer))
        self._lines: deque[bytes] = deque(maxlen=_MOST_LINES)
        self._wake = threading.Event()
        self._closed = False
        self.dropped = 0
        self._told = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Takes a line, without its end."""
        if len(self._lines) == self._lines.maxlen:
            self.dropped += 1
        # Drops the oldest line itself where there is no room: between a look and a removal here the thread could have taken them all.
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Writes what waits, for at most 2 s, and ends the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait()
            if not self._closed:
                time.sleep(_GATHER_S)
            self._wake.clear()
            self._flush()
        self._flush()

    def _flush(self) -> None:
        batch: list[bytes] = []
        if untold := self.dropped - self._told:
            batch.append(b'{"event":"log lines dropped","level":"warning","count":%d}' % untold)
            self._told += untold
        while self._lines:
            batch.append(self._lines.popleft())
        if not batch:
            return
        try:
            for piece in _pieces(batch):
                rest = memoryview(piece)
                while rest:
                    # A raw stream takes what it has room for; one that does not block says so with None.
                    written = self._stream.write(rest)
                    if written is None:
                        time.sleep(_RETRY_S)
                    rest = rest[written or 0 :]
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads any more; the server goes on without its log.
            return


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Joins lines to pieces of whole ones that a pipe takes at once; a line that is longer is a piece of its own."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) >= _WHOLE_BYTES:
            yield piece
            piece = b""
        piece += line + b"\n"
    yield piece
