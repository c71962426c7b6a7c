"""Turns a handler that is given where to send into an iterator, without a task of its own."""

from __future__ import annotations

import asyncio
from types import coroutine
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from google.protobuf.message import Message
    from google.rpc.status_pb2 import Status

    from antiphon.calls.call import Send


class _Handed:
    """A message on its way from the handler, past the event loop, to who pulls."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message


class Pulled:
    """The answers of a stream's handler, one at each step.

    connectrpc pulls answers out of an iterator; our handlers push. The usual bridge, a task and a queue, costs more than a message's own work and takes the
    handler out of the task that is cancelled with its call. Here the handler is run by hand within the task that pulls: what it awaits goes on to the event
    loop, and what it sends does not.

    Attributes:
        status: How the handler ended, once it has; None where it went well.
        ended: Whether it has.
    """

    def __init__(self, run: Callable[[Send], Coroutine[Any, Any, Status | None]], failed: Callable[[Status], Exception]) -> None:
        """Begins nothing yet.

        Args:
            run: The handler.
            failed: Makes what the last step raises of the status with which the handler ended.
        """
        self._run = run
        self._failed = failed
        self._running: Coroutine[Any, Any, Status | None] | None = None
        self.status: Status | None = None
        self.ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if self._running is None:
            self._running = self._run(_hand)
        handed = await self._step(self._running, None)
        if handed is not None:
            return handed.message
        if self.status is not None:
            raise self._failed(self.status)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Cancels the handler where it waits for its message to be taken, and lets it end."""
        if self._running is None or self.ended:
            return
        error: BaseException | None = asyncio.CancelledError()
        try:
            while await self._step(self._running, error) is not None:
                error = None  # it goes on sending to nobody until it ends
        finally:
            self.ended = True

    @coroutine
    def _step(self, running: Coroutine[Any, Any, Status | None], error: BaseException | None) -> Generator[Any, Any, _Handed | None]:
        while True:
            try:
                awaited = running.send(None) if error is None else running.throw(error)
            except StopIteration as end:
                self.ended, self.status = True, end.value
                return None
            except BaseException:
                self.ended = True
                raise
            if type(awaited) is _Handed:
                return awaited
            error = None
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001  # whatever comes belongs to the handler, cancellation above all
                error = thrown


@coroutine
def _hand(message: Message) -> Generator[_Handed, None, None]:
    yield _Handed(message)
