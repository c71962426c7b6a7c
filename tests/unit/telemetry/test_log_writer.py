"""A log that nobody reads never holds the server: not its event loop, not its memory, not its end."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from antiphon.telemetry import log_writer
from antiphon.telemetry.log_writer import LogWriter

if TYPE_CHECKING:
    from collections.abc import Generator


class Slow(io.BytesIO):
    """A stream that takes nothing until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()
        self.entered = threading.Event()

    def write(self, data: bytes) -> int:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # bytes are all that is written
        self.entered.set()
        self.let.wait(10)
        return super().write(data)


@pytest.fixture
def full_pipe() -> Generator[int]:
    """The writing end of a pipe that nobody reads."""
    reading, writing = os.pipe()
    yield writing
    os.close(reading)
    os.close(writing)


def test_lines_are_written_in_order() -> None:
    stream = io.BytesIO()
    writer = LogWriter(stream)
    for number in range(1000):
        writer.write(b"%d" % number)
    writer.close()
    assert [b"%d" % number for number in range(1000)] == stream.getvalue().splitlines()


def test_what_waits_is_written_at_the_end() -> None:
    stream = Slow()
    writer = LogWriter(stream)
    writer.write(b"first")
    assert stream.entered.wait(5)
    writer.write(b"second")
    stream.let.set()
    writer.close()
    assert [b"first", b"second"] == stream.getvalue().splitlines()


def test_past_the_limit_the_oldest_go_and_their_number_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "_MOST_LINES", 10)
    stream = Slow()
    writer = LogWriter(stream)
    writer.write(b"first")
    assert stream.entered.wait(5)  # the thread now waits with it
    for number in range(25):
        writer.write(b"%d" % number)
    stream.let.set()
    writer.close()
    assert [
        b"first",
        b'{"event":"log lines dropped","level":"warning","count":15}',
        *(b"%d" % number for number in range(15, 25)),
    ] == stream.getvalue().splitlines()


def test_many_threads_can_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "_MOST_LINES", 3)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    failures: list[BaseException] = []

    def write_many(writer: LogWriter) -> None:
        try:
            for _ in range(3000):
                writer.write(b"x")
        except BaseException as error:  # noqa: BLE001  # told below
            failures.append(error)

    try:
        writer = LogWriter(io.BytesIO())
        threads = [threading.Thread(target=write_many, args=(writer,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.close()
    finally:
        sys.setswitchinterval(interval)
    assert [] == failures


def test_a_stream_that_takes_little_at_a_time_gets_everything() -> None:
    class Narrow(io.BytesIO):
        turn = 0

        def write(self, data: memoryview) -> int | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # as a raw stream
            self.turn += 1
            return super().write(data[:7]) if self.turn % 3 else None

    stream = Narrow()
    writer = LogWriter(stream)
    for number in range(20):
        writer.write(b"line %d" % number)
    writer.close()
    assert [b"line %d" % number for number in range(20)] == stream.getvalue().splitlines()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("closed"), OSError(28, "no space")])
def test_a_stream_that_fails_is_survived(error: Exception) -> None:
    class Broken(io.BytesIO):
        def flush(self) -> None:
            raise error

    writer = LogWriter(Broken())
    for _ in range(3):
        writer.write(b"x")
        time.sleep(0.01)
    writer.close()
    assert not writer._thread.is_alive()


@pytest.mark.lingers("the thread stays in its write, as it must")
async def test_a_full_pipe_does_not_hold_the_event_loop(full_pipe: int) -> None:
    stream = os.fdopen(full_pipe, "wb", buffering=0, closefd=False)
    writer = LogWriter(stream)
    worst_s = 0.0
    for _ in range(300):
        begun_s = time.perf_counter()
        for _ in range(100):
            writer.write(b"x" * 1000)
        worst_s = max(worst_s, time.perf_counter() - begun_s)
        await asyncio.sleep(0)
    assert worst_s < 0.5
    assert len(writer._lines) <= 10_000
    begun_s = time.perf_counter()
    await asyncio.to_thread(writer.close)
    assert time.perf_counter() - begun_s < 5


PROGRAM = """
import sys
from antiphon.telemetry.log_writer import LogWriter
writer = LogWriter()
for _ in range(2000):
    writer.write(b"x" * 1000)
writer.close()
print("done", flush=True)
"""


def test_a_process_whose_log_nobody_reads_ends_well() -> None:
    reading, writing = os.pipe()
    try:
        done = subprocess.run([sys.executable, "-c", PROGRAM], stderr=writing, stdout=subprocess.PIPE, timeout=30, check=False)
    finally:
        os.close(reading)
        os.close(writing)
    assert (0, b"done\n") == (done.returncode, done.stdout)


def test_everything_arrives_where_somebody_reads() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=30, check=False)
    assert (0, 2000 * 1001) == (done.returncode, len(done.stderr))
