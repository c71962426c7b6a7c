"""The events of one answer, built batch by batch.

A protobuf event for each token is the largest cost of a stream in Python, so what one read of the network brought for the same part or call becomes
one delta: its pieces are gathered and joined when the batch is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.api.core.v1 import event_pb2
from antiphon.api.core.v1.event_pb2 import Event

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antiphon.api.core.v1 import completion_pb2, message_pb2


class AnswerEvents:
    """Gives parts and calls their places in the answer and keeps the events that wait to be taken."""

    __slots__ = ("_arguments", "_delta", "_events", "_index", "_kind", "_next_index", "_pieces")

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._next_index = 0
        # The open part: its kind, its place, and its delta in this batch.
        self._kind = event_pb2.PART_KIND_UNSPECIFIED
        self._index = 0
        self._delta: event_pb2.PartDelta | None = None
        self._pieces: list[str] = []
        # The argument deltas in this batch, by call.
        self._arguments: dict[str, tuple[event_pb2.ToolCallArgumentsDelta, list[str]]] = {}

    def append(
        self, kind: event_pb2.PartKind, text: str, log_probabilities: Iterable[completion_pb2.TokenLogProbability] | None = None
    ) -> None:
        """Adds text to the open part of this kind; opens one where another kind, or none, is open."""
        if kind != self._kind:
            self._open(kind)
        delta = self._delta
        if delta is None:
            event = Event()
            # Setting fields of a message in place is three times as fast as handing it to the constructor.
            delta = self._delta = event.part_delta
            if self._index:
                delta.index = self._index
            self._events.append(event)
        self._pieces.append(text)
        if log_probabilities:
            delta.log_probabilities.extend(log_probabilities)

    def add_whole(self, part: message_pb2.Part) -> None:
        """Adds a part that arrived whole."""
        self.end_part()
        index = self._take_place()
        self._events.append(Event(part_started=event_pb2.PartStarted(index=index, kind=event_pb2.PART_KIND_WHOLE, part=part)))
        self._events.append(Event(part_ended=event_pb2.PartEnded(index=index)))

    def start_call(self, call_id: str, name: str) -> None:
        """Begins a tool call."""
        self.end_part()
        self._events.append(Event(tool_call_started=event_pb2.ToolCallStarted(call_id=call_id, name=name, index=self._take_place())))

    def append_arguments(self, call_id: str, text: str) -> None:
        """Adds to a call's arguments. Calls may alternate: each has its own delta, so none waits for another."""
        waiting = self._arguments.get(call_id)
        if waiting is None:
            event = Event()
            delta = event.tool_call_arguments_delta
            delta.call_id = call_id
            waiting = self._arguments[call_id] = (delta, [])
            self._events.append(event)
        waiting[1].append(text)

    def end_call(self, call_id: str, provider_state: bytes) -> None:
        """Ends a tool call."""
        self._events.append(Event(tool_call_ended=event_pb2.ToolCallEnded(call_id=call_id, provider_state=provider_state)))

    def end_part(self) -> None:
        """Ends the open part, if there is one."""
        if self._kind != event_pb2.PART_KIND_UNSPECIFIED:
            self._settle_part()
            event = Event()
            event.part_ended.index = self._index  # set even where it is 0: that is what makes it this kind of event
            self._events.append(event)
            self._kind = event_pb2.PART_KIND_UNSPECIFIED

    def add(self, event: Event) -> None:
        """Adds an event that is no part's and no call's."""
        self._events.append(event)

    def take(self) -> list[Event]:
        """Returns the batch and begins the next one."""
        self._settle_part()
        if self._arguments:
            for delta, pieces in self._arguments.values():
                delta.arguments = "".join(pieces)
            self._arguments.clear()
        events = self._events
        self._events = []
        return events

    def _open(self, kind: event_pb2.PartKind) -> None:
        self.end_part()
        self._kind = kind
        self._index = self._take_place()
        event = Event()
        started = event.part_started
        started.kind = kind
        if self._index:
            started.index = self._index
        self._events.append(event)

    def _settle_part(self) -> None:
        if self._delta is not None:
            self._delta.text = "".join(self._pieces)
            self._delta = None
            self._pieces.clear()

    def _take_place(self) -> int:
        index = self._next_index
        self._next_index += 1
        return index
