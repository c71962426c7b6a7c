"""The unary answer: a stream of events, collected."""

from __future__ import annotations

from antiphon.api.core.v1.completion_pb2 import Completion
from antiphon.api.core.v1.event_pb2 import PART_KIND_REASONING, PART_KIND_WHOLE, Event
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
                self.completion.completion_id = event.started.completion_id
                self.completion.model = event.started.model
                self.completion.create_time.CopyFrom(event.time)
                self.completion.ignored_parameters.extend(event.started.ignored_parameters)
            case "part_started":
                self._start_part(event)
            case "part_delta":
                self._texts[event.part_delta.index].append(event.part_delta.text)
                self.completion.log_probabilities.extend(event.part_delta.log_probabilities)
            case "part_ended":
                self._end(event.part_ended.index, event.part_ended.provider_state)
            case "tool_call_started":
                started = event.tool_call_started
                self._calls[started.call_id] = started.index
                part = self._parts[started.index] = Part()
                part.tool_call.call_id, part.tool_call.name = started.call_id, started.name
                self._texts[started.index] = []
            case "tool_call_arguments_delta":
                delta = event.tool_call_arguments_delta
                self._texts[self._calls[delta.call_id]].append(delta.arguments)
            case "tool_call_ended":
                self._end(self._calls[event.tool_call_ended.call_id], event.tool_call_ended.provider_state)
            case "usage_reported":
                self.completion.usage.CopyFrom(event.usage_reported.usage)
            case "completed":
                self._finish(event)
            case _:
                pass

    def _start_part(self, event: Event) -> None:
        started = event.part_started
        part = self._parts[started.index] = Part()
        part.CopyFrom(started.part)
        if started.kind != PART_KIND_WHOLE:
            self._texts[started.index] = []
        if started.kind == PART_KIND_REASONING:
            self._reasoning.add(started.index)

    def _end(self, index: int, provider_state: bytes) -> None:
        # A part that came whole has its state already.
        if provider_state:
            self._parts[index].provider_state = provider_state

    def _finish(self, event: Event) -> None:
        for index in sorted(self._parts):
            part = self._parts[index]
            text = "".join(self._texts.get(index, []))
            if part.HasField("tool_call"):
                part.tool_call.arguments = text
            elif index in self._reasoning:
                part.reasoning.text = text
            elif index in self._texts:
                part.text = text
            self.completion.message.parts.append(part)
        self.completion.finish_reason = event.completed.finish_reason
        self.completion.provider_finish_reason = event.completed.provider_finish_reason
        if event.completed.HasField("usage"):
            self.completion.usage.CopyFrom(event.completed.usage)
