"""The collected answer holds everything that the stream's events told, in the order of their places."""

from __future__ import annotations

from antiphon.api.core.v1.completion_pb2 import FinishReason, TokenLogProbability
from antiphon.api.core.v1.event_pb2 import (
    Completed,
    Event,
    PartDelta,
    PartEnded,
    PartKind,
    PartStarted,
    Started,
    ToolCallArgumentsDelta,
    ToolCallEnded,
    ToolCallStarted,
    UsageReported,
)
from antiphon.api.core.v1.message_pb2 import Citation, Part, Role
from antiphon.api.core.v1.usage_pb2 import Usage
from antiphon.completion.collecting import Collector


def test_every_kind_of_event_is_collected() -> None:
    collector = Collector()
    for event in (
        Event(stream_id="cmpl-1", started=Started(completion_id="cmpl-1", model="a/b", ignored_parameters=["sampling.top_k"])),
        Event(part_started=PartStarted(index=0, kind=PartKind.PART_KIND_REASONING)),
        Event(part_started=PartStarted(index=1, kind=PartKind.PART_KIND_TEXT)),
        Event(tool_call_started=ToolCallStarted(call_id="c1", name="weather", index=2)),
        Event(tool_call_started=ToolCallStarted(call_id="c2", name="time", index=4)),
        Event(part_delta=PartDelta(index=1, text="It ", log_probabilities=[TokenLogProbability(token="It")])),
        Event(part_delta=PartDelta(index=0, text="hm")),
        Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id="c2", arguments="{}")),
        Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id="c1", arguments='{"a"')),
        Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id="c1", arguments=":1}")),
        Event(part_delta=PartDelta(index=1, text="rains", log_probabilities=[TokenLogProbability(token="rains")])),
        Event(part_ended=PartEnded(index=0, provider_state=b"signed")),
        Event(part_started=PartStarted(index=3, kind=PartKind.PART_KIND_WHOLE, part=Part(citation=Citation(title="Almanac")))),
        Event(tool_call_ended=ToolCallEnded(call_id="c1", provider_state=b"thought")),
        Event(usage_reported=UsageReported(usage=Usage(input_tokens=1))),
        Event(usage_reported=UsageReported(usage=Usage(input_tokens=2))),
        Event(),
        Event(completed=Completed(finish_reason=FinishReason.FINISH_REASON_TOOL_CALLS, provider_finish_reason="tools")),
    ):
        collector.add(event)
    completion = collector.completion
    assert ("cmpl-1", "a/b", ["sampling.top_k"]) == (completion.completion_id, completion.model, list(completion.ignored_parameters))
    assert Role.ROLE_ASSISTANT == completion.message.role
    parts = completion.message.parts
    assert ["reasoning", "text", "tool_call", "citation", "tool_call"] == [part.WhichOneof("content") for part in parts]
    assert ("hm", b"signed") == (parts[0].reasoning.text, parts[0].provider_state)
    assert "It rains" == parts[1].text
    assert ("c1", "weather", '{"a":1}', b"thought") == (
        parts[2].tool_call.call_id,
        parts[2].tool_call.name,
        parts[2].tool_call.arguments,
        parts[2].provider_state,
    )
    assert ("Almanac", "{}") == (parts[3].citation.title, parts[4].tool_call.arguments)
    assert ["It", "rains"] == [one.token for one in completion.log_probabilities]
    assert (FinishReason.FINISH_REASON_TOOL_CALLS, "tools") == (completion.finish_reason, completion.provider_finish_reason)
    assert 2 == completion.usage.input_tokens


def test_usage_of_the_end_replaces_what_was_reported_before() -> None:
    collector = Collector()
    collector.add(Event(usage_reported=UsageReported(usage=Usage(input_tokens=1, output_tokens=1))))
    collector.add(Event(completed=Completed(usage=Usage(input_tokens=5))))
    assert Usage(input_tokens=5) == collector.completion.usage


def test_an_empty_text_is_a_part() -> None:
    collector = Collector()
    collector.add(Event(part_started=PartStarted(index=0, kind=PartKind.PART_KIND_TEXT)))
    collector.add(Event(completed=Completed()))
    assert ["text"] == [part.WhichOneof("content") for part in collector.completion.message.parts]
