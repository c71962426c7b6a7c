"""Streams that release their call when they are left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

import grpc

from antiphon_client.accumulate import Accumulator, StreamEvent
from antiphon_client.completion import Completion
from antiphon_client.contract import completion, core, health
from antiphon_client.errors import InternalError
from antiphon_client.methods import ResponseT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from antiphon_client.sync.transport import MessageStream

ItemT = TypeVar("ItemT")


class _ReleasingIterator(Generic[ItemT]):
    """Iterates, and releases the call when it is dropped: that is how leaving a `for` by `break`, `return` or an error ends the call.

    A loop holds the only reference to its iterator, so CPython drops it at once; `with` on the stream does not depend on that.
    """

    def __init__(self, advance: Callable[[], ItemT | None], release: Callable[[], None]) -> None:
        self._advance = advance
        self._release = release
        self._begun = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ItemT:
        self._begun = True
        item = self._advance()
        if item is None:
            raise StopIteration
        return item

    def __del__(self) -> None:
        if self._begun:
            self._release()


class Stream(ABC, Generic[ItemT]):
    """What a streaming call sends. The call starts with the first item that is asked for; leaving the loop, or the stream's `with`, ends it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cancel()

    def __iter__(self) -> Iterator[ItemT]:
        return _ReleasingIterator(self.receive, self.cancel)

    @abstractmethod
    def receive(self) -> ItemT | None:
        """The next item; None at the end.

        Raises:
            AntiphonError: The call failed, or was left before its end.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Ends the call at once, if it has not ended. Safe to repeat."""


class CompletionStream(Stream[StreamEvent]):
    """An answer while the model writes it.

    `for event in stream` gives what happens (`PartDelta`, `ToolCallStarted`, ...); `text_stream()` gives the text alone; `final()` reads what is left
    and gives the whole answer. Leaving the loop, or the stream's `with`, ends the call: the model stops writing.

    Attributes:
        envelope: The last event with its sequence and stream id; None before the first.
    """

    def __init__(self, messages: MessageStream[completion.StreamCompleteResponse]) -> None:
        self.envelope: core.Event | None = None
        self._messages = messages
        self._accumulator = Accumulator()

    def text_stream(self) -> Iterator[str]:
        """Iterates over the pieces of the answer's text, without reasoning."""
        return _ReleasingIterator(self._receive_text, self.cancel)

    def final(self) -> Completion:
        """Reads what is left and returns the whole answer, as `create` would have.

        Raises:
            AntiphonError: The call failed, or was left before the answer was complete; `snapshot` has what there is.
        """
        while self.receive() is not None:
            pass
        return self.snapshot

    @property
    def snapshot(self) -> Completion:
        """The answer so far."""
        return Completion(self._accumulator.completion())

    def receive(self) -> StreamEvent | None:
        """The next event; None at the end.

        Raises:
            AntiphonError: The call failed, or was left before its end.
        """
        response = self._messages.receive()
        if response is not None:
            self.envelope = response.event or core.Event()
            return self._accumulator.add(self.envelope)
        if not self._accumulator.finished:
            raise InternalError(grpc.StatusCode.INTERNAL, "the stream ended without the event that completes it")
        return None

    def cancel(self) -> None:
        """Ends the call at once, if it has not ended. Safe to repeat."""
        self._messages.cancel()

    def _receive_text(self) -> str | None:
        while (event := self.receive()) is not None:
            if isinstance(event, core.PartDelta) and event.text and self._accumulator.holds_text(event.index):
                return event.text
        return None


class ReportStream(Stream[health.HealthReport]):
    """Health reports as they come."""

    def __init__(self, messages: MessageStream[health.WatchHealthResponse]) -> None:
        self._messages = messages

    def receive(self) -> health.HealthReport | None:
        """The next report."""
        response = self._messages.receive()
        return None if response is None else response.report or health.HealthReport()

    def cancel(self) -> None:
        """Ends the call at once. Safe to repeat."""
        self._messages.cancel()


class RawStream(Stream[ResponseT]):
    """The contract's own messages, for `client.raw`."""

    def __init__(self, messages: MessageStream[ResponseT]) -> None:
        self._messages = messages

    def receive(self) -> ResponseT | None:
        """The next message; None at the end."""
        return self._messages.receive()

    def cancel(self) -> None:
        """Ends the call at once. Safe to repeat."""
        self._messages.cancel()
