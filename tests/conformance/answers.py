"""What a list of events says, and whether it keeps the grammar of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon.api.core.v1.event_pb2 import PartKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from antiphon.api.core.v1.completion_pb2 import TokenLogProbability
    from antiphon.api.core.v1.event_pb2 import Completed, Event
    from antiphon.api.core.v1.message_pb2 import Part
    from antiphon.api.core.v1.usage_pb2 import Usage


@dataclass
class CollectedPart:
    """A part of the answer, its deltas joined."""

    kind: PartKind
    text: str = ""
    whole: Part | None = None
    ended: bool = False


@dataclass
class CollectedCall:
    """A tool call of the answer, its deltas joined."""

    call_id: str
    name: str
    arguments: str = ""
    provider_state: bytes = b""
    ended: bool = False


@dataclass
class Answer:
    """An answer, collected.

    Attributes:
        places: Parts and calls by their place in the message.
        completed: Its end; None where it did not come to that.
    """

    places: dict[int, CollectedPart | CollectedCall] = field(default_factory=dict[int, CollectedPart | CollectedCall])
    log_probabilities: list[TokenLogProbability] = field(default_factory=list["TokenLogProbability"])
    usages: list[Usage] = field(default_factory=list["Usage"])
    completed: Completed | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.parts if part.kind == PartKind.PART_KIND_TEXT)

    @property
    def reasoning(self) -> str:
        """The reasoning parts, joined."""
        return "".join(part.text for part in self.parts if part.kind == PartKind.PART_KIND_REASONING)

    @property
    def parts(self) -> list[CollectedPart]:
        """The parts, in the message's order."""
        return [place for _, place in sorted(self.places.items()) if isinstance(place, CollectedPart)]

    @property
    def calls(self) -> list[CollectedCall]:
        """The tool calls, in the message's order."""
        return [place for _, place in sorted(self.places.items()) if isinstance(place, CollectedCall)]


def collect(events: Iterable[Event], *, whole: bool = True) -> Answer:
    """Collects an answer and asserts the grammar that `ChatModel.stream` promises.

    Args:
        events: All events of the stream.
        whole: Whether it must be at its end; an answer that failed must not be.
    """
    answer = Answer()
    calls: dict[str, CollectedCall] = {}
    for event in events:
        assert answer.completed is None, "nothing comes after Completed"
        assert (0, "") == (event.sequence, event.stream_id), "sequences and ids are the pipeline's to give"
        _collect_one(answer, calls, event)
    assert list(range(len(answer.places))) == sorted(answer.places), "places have no gap"
    assert whole == (answer.completed is not None)
    if whole:
        assert all(place.ended for place in answer.places.values()), "all that began has ended"
    return answer


def _collect_one(answer: Answer, calls: dict[str, CollectedCall], event: Event) -> None:
    kind = event.WhichOneof("payload")
    if kind == "part_started":
        started = event.part_started
        assert started.index not in answer.places, "a place is taken once"
        is_whole = started.kind == PartKind.PART_KIND_WHOLE
        assert is_whole == started.HasField("part")
        answer.places[started.index] = CollectedPart(started.kind, whole=started.part if is_whole else None)
    elif kind == "part_delta":
        part = answer.places[event.part_delta.index]
        assert isinstance(part, CollectedPart)
        assert not part.ended
        assert part.whole is None
        part.text += event.part_delta.text
        answer.log_probabilities.extend(event.part_delta.log_probabilities)
    elif kind == "part_ended":
        part = answer.places[event.part_ended.index]
        assert not part.ended
        part.ended = True
    elif kind == "tool_call_started":
        opened = event.tool_call_started
        assert opened.name
        assert opened.call_id
        assert opened.index not in answer.places, "a place is taken once"
        assert opened.call_id not in calls, "ids are unique"
        answer.places[opened.index] = calls[opened.call_id] = CollectedCall(opened.call_id, opened.name)
    elif kind == "tool_call_arguments_delta":
        call = calls[event.tool_call_arguments_delta.call_id]
        assert not call.ended
        call.arguments += event.tool_call_arguments_delta.arguments
    elif kind == "tool_call_ended":
        call = calls[event.tool_call_ended.call_id]
        assert not call.ended
        call.ended = True
        call.provider_state = event.tool_call_ended.provider_state
    elif kind == "usage_reported":
        answer.usages.append(event.usage_reported.usage)
    else:
        assert "completed" == kind, "an adapter says nothing else"
        answer.completed = event.completed
        if event.completed.HasField("usage"):
            answer.usages.append(event.completed.usage)
