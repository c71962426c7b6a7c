"""Collects a stream's events into the completion that the unary call would have returned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon_client.contract import core

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event that this client does not know, from a newer server.

    Attributes:
        envelope: The event; its bytes keep what could not be read.
    """

    envelope: core.Event


StreamEvent = (
    core.Started
    | core.PartStarted
    | core.PartDelta
    | core.PartEnded
    | core.ToolCallStarted
    | core.ToolCallArgumentsDelta
    | core.ToolCallEnded
    | core.UsageReported
    | core.Completed
    | UnknownEvent
)


def payload_of(event: core.Event) -> StreamEvent:
    """What happened, out of its envelope. Deltas come first, for nearly all events are deltas."""
    for payload in (
        event.part_delta,
        event.tool_call_arguments_delta,
        event.started,
        event.part_started,
        event.part_ended,
        event.tool_call_started,
        event.tool_call_ended,
        event.usage_reported,
        event.completed,
    ):
        # Not `if payload`: a message with nothing but default values is false.
        if payload is not None:
            return payload
    return UnknownEvent(event)


@dataclass(slots=True)
class _OpenPart:
    """A part while it grows. Pieces are joined once, at the end: appending to a string would copy the answer anew for every token."""

    part: core.Part
    grows: bool = True
    pieces: list[str] = field(default_factory=list[str])

    def joined(self) -> core.Part:
        if not self.grows:
            return self.part
        content = "".join(self.pieces)
        state = self.part.provider_state
        if self.part.text is not None:
            return core.Part(text=content, provider_state=state)
        if self.part.reasoning is not None:
            return core.Part(reasoning=core.Reasoning(text=content), provider_state=state)
        if self.part.tool_call is not None:
            call = self.part.tool_call
            return core.Part(tool_call=core.ToolCall(call_id=call.call_id, name=call.name, arguments=content), provider_state=state)
        return self.part


class Accumulator:
    """Takes a stream's events one by one and knows the answer so far.

    Events, part kinds and enum values that it does not know are passed over.
    """

    def __init__(self) -> None:
        self.finished = False
        self._completion_id = ""
        self._model = ""
        self._create_time: datetime | None = None
        self._ignored_parameters: list[str] = []
        self._parts: dict[int, _OpenPart] = {}
        self._calls: dict[str, _OpenPart] = {}
        self._log_probabilities: list[core.TokenLogProbability] = []
        self._usage: core.Usage | None = None
        self._completed = core.Completed()

    def add(self, event: core.Event) -> StreamEvent:
        """Takes the next event. Returns what happened."""
        payload = payload_of(event)
        match payload:
            case core.PartDelta() | core.ToolCallArgumentsDelta():
                self._grow(payload)
            case core.PartStarted() | core.ToolCallStarted():
                self._open(payload)
            case core.PartEnded() | core.ToolCallEnded():
                self._end(payload)
            case core.Started():
                self._completion_id, self._model, self._create_time = payload.completion_id, payload.model, event.time
                self._ignored_parameters = payload.ignored_parameters
            case core.UsageReported():
                self._usage = payload.usage
            case core.Completed():
                self._completed, self.finished = payload, True
                self._usage = self._usage if payload.usage is None else payload.usage
            case UnknownEvent():
                pass
        return payload

    def holds_text(self, index: int) -> bool:
        """Whether the part at this place is text, and not reasoning."""
        opened = self._parts.get(index)
        return opened is not None and opened.part.text is not None

    def completion(self) -> core.Completion:
        """The answer so far."""
        return core.Completion(
            completion_id=self._completion_id,
            model=self._model,
            create_time=self._create_time,
            message=core.Message(role=core.Role.ASSISTANT, parts=[self._parts[index].joined() for index in sorted(self._parts)]),
            finish_reason=self._completed.finish_reason,
            provider_finish_reason=self._completed.provider_finish_reason,
            usage=self._usage,
            ignored_parameters=self._ignored_parameters,
            log_probabilities=self._log_probabilities,
        )

    def _grow(self, delta: core.PartDelta | core.ToolCallArgumentsDelta) -> None:
        if isinstance(delta, core.PartDelta):
            if opened := self._parts.get(delta.index):
                opened.pieces.append(delta.text)
            self._log_probabilities += delta.log_probabilities
        elif opened := self._calls.get(delta.call_id):
            opened.pieces.append(delta.arguments)

    def _open(self, started: core.PartStarted | core.ToolCallStarted) -> None:
        if isinstance(started, core.ToolCallStarted):
            call = core.ToolCall(call_id=started.call_id, name=started.name)
            self._parts[started.index] = self._calls[started.call_id] = _OpenPart(core.Part(tool_call=call))
        elif started.part is not None:
            self._parts[started.index] = _OpenPart(started.part, grows=False)
        elif started.kind == core.PartKind.TEXT:
            self._parts[started.index] = _OpenPart(core.Part(text=""))
        elif started.kind == core.PartKind.REASONING:
            self._parts[started.index] = _OpenPart(core.Part(reasoning=core.Reasoning()))

    def _end(self, ended: core.PartEnded | core.ToolCallEnded) -> None:
        opened = self._parts.get(ended.index) if isinstance(ended, core.PartEnded) else self._calls.get(ended.call_id)
        if opened is not None and ended.provider_state:
            opened.part.provider_state = ended.provider_state
