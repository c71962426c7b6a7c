"""A worker as the supervisor has it: its process and the channel to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from antiphon.workers.channel import Channel, ChannelAnswerError, ChannelClosedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Heard = Callable[["WorkerProcess", str, Any], Awaitable[Any]]

# What a worker tells once it has imported everything, and what it is asked and told.
IMPORTED = "imported"
LOAD, SERVE, DRAIN, HURRY = "load", "serve", "drain", "hurry"
_MODULE = "antiphon.workers"
# Imports and the start of the ports; on a machine that has next to no time for it.
_ANSWER_TIMEOUT_S = 60.0


class WorkerError(Exception):
    """A worker does not do what it was asked; the message says why."""


class WorkerProcess:
    """A process that was exec'd; used once, replaced after it ended."""

    def __init__(self, process: asyncio.subprocess.Process, connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        self._channel: Channel | None = None
        self._served_since_s: float | None = None
        self._ended_s: float | None = None
        self.imported = asyncio.Event()
        self.ended = asyncio.create_task(self._wait(), name="worker-wait")

    @classmethod
    async def spawn(cls, heard: Heard) -> WorkerProcess:
        """Starts a process, which imports what it needs and then waits to be asked.

        Args:
            heard: What the worker asks or tells, with the worker.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                _MODULE,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C in the terminal reaches the supervisor alone, which has all workers drain.
                start_new_session=True,
            )
        except BaseException:
            # A process that was made nevertheless ends, because its channel has.
            ours.close()
            raise
        finally:
            theirs.close()
        worker = cls(process, ours)

        async def answer(name: str, value: Any) -> Any:
            return await heard(worker, name, value)

        worker._channel = await Channel.over(ours, answer)
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, as far as the event loop has heard."""
        return not self.ended.done()

    @property
    def serves(self) -> bool:
        """Whether it said that it serves, and has not ended."""
        return self._served_since_s is not None and self.is_running

    @property
    def exit_code(self) -> int | None:
        """Its exit code; the negative number of the signal that ended it; None while it runs."""
        return self._process.returncode

    @property
    def served_s(self) -> float:
        """How long it has served, or had when it ended."""
        if self._served_since_s is None:
            return 0.0
        return (self._ended_s or time.monotonic()) - self._served_since_s

    async def ask(self, name: str, value: Any = None, *, timeout_s: float = _ANSWER_TIMEOUT_S) -> Any:
        """Asks the worker.

        Raises:
            WorkerError: It ended, failed or did not answer in time.
        """
        assert self._channel is not None, "spawn opens it"
        try:
            return await self._channel.ask(name, value, timeout_s=timeout_s)
        except ChannelClosedError as error:
            raise WorkerError("it ended before it answered") from error
        except ChannelAnswerError as error:
            raise WorkerError(f"it failed: {error}") from error
        except TimeoutError as error:
            raise WorkerError(f"it did not answer within {timeout_s:g} s") from error

    def tell(self, name: str, value: Any = None) -> None:
        """Tells the worker, if it is still there."""
        assert self._channel is not None, "spawn opens it"
        self._channel.tell(name, value)

    def serving_begins(self) -> None:
        """Notes that it said so."""
        self._served_since_s = time.monotonic()

    async def end(self, grace_s: float = 0.0) -> None:
        """Waits until it has ended, and kills it once the grace is over."""
        if grace_s:
            await asyncio.wait((self.ended,), timeout=grace_s)
        if self.is_running:
            # It may have ended between the look and the signal.
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        await asyncio.wait((self.ended,))

    async def _wait(self) -> None:
        await self._process.wait()
        self._ended_s = time.monotonic()
        if self._channel is not None:
            await self._channel.close()
