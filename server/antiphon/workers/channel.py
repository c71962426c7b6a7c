"""The private socket between the supervisor and a worker: questions with their answers, and news, both ways.

One line of JSON is one frame: `{"ask": name, "id": 1, "value": ...}`, `{"id": 1, "result": ...}` or `{"id": 1, "failed": why}`, `{"tell": name, "value": ...}`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    Answer = Callable[[str, Any], Awaitable[Any]]

# Metrics of many models, a long configuration; no call's content ever passes.
_LONGEST_FRAME_BYTES = 64 * 2**20


class ChannelClosedError(Exception):
    """The other side is gone."""


class ChannelAnswerError(Exception):
    """The other side could not answer; its log says more."""


class Channel:
    """One end. Belongs to the event loop that made it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._numbers = itertools.count(1)
        self._answering: set[asyncio.Task[None]] = set()
        self._reading = asyncio.create_task(self._read(), name="worker-channel")
        self.ended = asyncio.Event()

    @classmethod
    async def over(cls, connection: socket.socket, answer: Answer) -> Self:
        """Takes a connected Unix socket.

        Args:
            connection: The socket; it is the channel's from now on.
            answer: What is asked or told, by name and value; what it returns is the answer. Each runs in a task of its own.
        """
        reader, writer = await asyncio.open_unix_connection(sock=connection, limit=_LONGEST_FRAME_BYTES)
        return cls(reader, writer, answer)

    async def ask(self, name: str, value: Any = None, *, timeout_s: float | None = None) -> Any:
        """Asks the other side.

        Raises:
            ChannelClosedError: It is gone.
            ChannelAnswerError: It failed to answer.
            TimeoutError: It did not answer in time.
        """
        if self.ended.is_set():
            raise ChannelClosedError
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"ask": name, "id": number, "value": value})
            async with asyncio.timeout(timeout_s):
                return await waiting
        finally:
            del self._waiting[number]

    def tell(self, name: str, value: Any = None) -> None:
        """Tells the other side, if it is still there."""
        if not self.ended.is_set():
            self._send({"tell": name, "value": value})

    async def close(self) -> None:
        """Ends this side, and with it what it was about to answer."""
        tasks = (self._reading, *self._answering)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._writer.close()

    def _send(self, frame: dict[str, Any]) -> None:
        self._writer.write(json.dumps(frame).encode() + b"\n")

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError):
            pass  # Half a frame: the other side died while it wrote.
        finally:
            self.ended.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ChannelClosedError())

    def _take(self, frame: dict[str, Any]) -> None:
        if "ask" in frame or "tell" in frame:
            task = asyncio.create_task(self._answered(frame))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            return
        waiting = self._waiting.get(frame["id"])
        if waiting is None or waiting.done():
            return  # Whoever asked waits no more.
        if "failed" in frame:
            waiting.set_exception(ChannelAnswerError(frame["failed"]))
        else:
            waiting.set_result(frame["result"])

    async def _answered(self, frame: dict[str, Any]) -> None:
        if "tell" in frame:
            await self._answer(frame["tell"], frame["value"])
            return
        try:
            reply = {"id": frame["id"], "result": await self._answer(frame["ask"], frame["value"])}
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must not wait for ever
            reply = {"id": frame["id"], "failed": f"{type(error).__name__}: {error}"}
        if not self.ended.is_set():
            self._send(reply)
