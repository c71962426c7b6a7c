"""The unary answer: a stream of events, collected."""

from __future__ import annotations

from antiphon.api.core.v1.completion_pb2 import Completion
from antiphon.api.core.v1.event_pb2 import PART_KIND_REASONING, PART_KIND_WHOLE, Event, PartDelta
from antiphon.api.core.v1.message_pb2 import ROLE_ASSISTANT, Part


class Collector:
    """Builds a Completion from a stream's events."""

    def __init__(self) -> None:
        self.completion = Completion()
        self.completion.message.role = ROLE_ASSISTANT
        self._parts: dict[int, Part] = {}
        self._texts: dict[int, list[str]] = {}
        self._reasoning: set[int] = set()
        self._calls: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Takes the next event."""
        match event.WhichOneof("payload"):
            case "started":
                started, completion = event.started, self.completion
                completion.completion_id = started.completion_id
                completion.model = started.model
                completion.create_time.CopyFrom(event.time)
                completion.ignored_parameters.extend(started.ignored_parameters)
            case "part_started":
                self._start_part(event)
            case "part_delta":
                self._append(event.part_delta)
            case "part_ended":
                ended = event.part_ended
                self._end(ended.index, ended.provider_state)
            case "tool_call_started":
                started = event.tool_call_started
                self._calls[started.call_id] = started.index
                part = self._parts[started.index] = Part()
                part.tool_call.call_id, part.tool_call.name = started.call_id, started.name
                self._texts[started.index] = []
            case "tool_call_arguments_delta":
                arguments = event.tool_call_arguments_delta
                self._texts[self._calls[arguments.call_id]].append(arguments.arguments)
            case "tool_call_ended":
                self._end(self._calls[event.tool_call_ended.call_id], event.tool_call_ended.provider_state)
            case "usage_reported":
                self.completion.usage.CopyFrom(event.usage_reported.usage)
            case "completed":
                self._finish(event)
            case _:
                pass

    def _append(self, delta: PartDelta) -> None:
        self._texts[delta.index].append(delta.text)
        if delta.log_probabilities:
            self.completion.log_probabilities.extend(delta.log_probabilities)

    def _start_part(self, event: Event) -> None:
        started = event.part_started
        index, kind = started.index, started.kind
        part = self._parts[index] = Part()
        if kind == PART_KIND_WHOLE:
            part.CopyFrom(started.part)
        else:
            self._texts[index] = []
        if kind == PART_KIND_REASONING:
            self._reasoning.add(index)

    def _end(self, index: int, provider_state: bytes) -> None:
        # A part that came whole has its state already.
        if provider_state:
            self._parts[index].provider_state = provider_state

    def _finish(self, event: Event) -> None:
        parts = self.completion.message.parts
        for index in sorted(self._parts):
            part = self._parts[index]
            text = "".join(self._texts.get(index, ()))
            if part.HasField("tool_call"):
                part.tool_call.arguments = text
            elif index in self._reasoning:
                part.reasoning.text = text
            elif index in self._texts:
                part.text = text
            parts.append(part)
        completed, completion = event.completed, self.completion
        completion.finish_reason = completed.finish_reason
        completion.provider_finish_reason = completed.provider_finish_reason
        if completed.HasField("usage"):
            completion.usage.CopyFrom(completed.usage)
