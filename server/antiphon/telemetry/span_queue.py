"""Finished spans leave by a thread: neither a slow collector nor an absent one holds the event loop, fills the memory or floods the log."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from antiphon.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from antiphon.telemetry.spans import RecordedSpan

_MOST_SPANS = 8192
_BATCH_SPANS = 512
# Spans gather for so long before they go: a request a span would cost more than the spans.
GATHER_S = 1.0
_CLOSING_S = 2.0
_LONGEST_RETRY_S = 30.0
_TOLD_EVERY_S = 60.0


class ExportError(Exception):
    """Spans did not arrive. The message holds nothing secret.

    Attributes:
        retry: Whether the same spans may arrive later.
        retry_after_s: When, in seconds, where the receiver said so.
    """

    def __init__(self, message: str, *, retry: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry = retry
        self.retry_after_s = retry_after_s


class SpanSink(Protocol):
    """Where spans go. Called from one thread."""

    def take(self, spans: Sequence[RecordedSpan], timeout_s: float) -> None:
        """Takes finished spans.

        Raises:
            ExportError: They did not arrive.
        """
        ...

    def close(self) -> None:
        """Releases what it holds; a `take` that still runs ends."""
        ...


class SpanQueue:
    """Passes finished spans on in batches; past 8,192 waiting spans the oldest are dropped and their number is told."""

    def __init__(self, sink: SpanSink, *, gather_s: float = GATHER_S, timeout_s: float = 10.0) -> None:
        self._sink = sink
        self._gather_s = gather_s
        self._timeout_s = timeout_s
        self._spans: deque[RecordedSpan] = deque(maxlen=_MOST_SPANS)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._closes_s = float("inf")
        self._lost = 0
        self._told_s = float("-inf")
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)

    def start(self) -> None:
        """Begins to pass on."""
        self._thread.start()

    def put(self, span: RecordedSpan) -> None:
        """Takes a finished span."""
        if len(self._spans) == _MOST_SPANS:
            self._lost += 1
        self._spans.append(span)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Passes on what waits, for at most 2 s, and ends the thread."""
        self._closes_s = time.monotonic() + _CLOSING_S
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSING_S)
        self._sink.close()
        self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(self._gather_s)
            self._wake.clear()
            while self._spans:
                self._pass_on([self._spans.popleft() for _ in range(min(_BATCH_SPANS, len(self._spans)))])
        self._tell(at_last=True)

    def _pass_on(self, batch: list[RecordedSpan]) -> None:
        delay_s = 1.0
        while True:
            try:
                self._sink.take(batch, max(0.001, min(self._timeout_s, self._closes_s - time.monotonic())))
            except ExportError as error:
                self._failure = str(error)
                wait_s = delay_s if error.retry_after_s is None else min(error.retry_after_s, _LONGEST_RETRY_S)
                delay_s = min(delay_s * 2, _LONGEST_RETRY_S)
                # What closes does not wait: the spans had their chance.
                if not error.retry or self._closing.is_set():
                    self._lost += len(batch)
                    self._tell()
                    return
                self._tell()
                self._closing.wait(wait_s)
            else:
                return

    def _tell(self, *, at_last: bool = False) -> None:
        now_s = time.monotonic()
        if (self._failure or self._lost) and (now_s - self._told_s >= _TOLD_EVERY_S or (at_last and self._lost)):
            self._told_s = now_s
            logger("antiphon.telemetry").warning(
                "spans do not reach their collector", cause=self._failure, waiting=len(self._spans), lost=self._lost
            )
            self._failure, self._lost = "", 0
