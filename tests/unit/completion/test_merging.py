"""Merging joins neighbouring deltas and nothing else: what a stream says is the same merged or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.api.core.v1.completion_pb2 import TokenLogProbability
from antiphon.api.core.v1.event_pb2 import (
    Completed,
    Event,
    PartDelta,
    PartEnded,
    PartKind,
    PartStarted,
    ToolCallArgumentsDelta,
    ToolCallStarted,
    UsageReported,
)
from antiphon.completion.collecting import Collector
from antiphon.completion.merging import merge

if TYPE_CHECKING:
    from antiphon.api.core.v1.completion_pb2 import Completion


def text(words: str, index: int = 0) -> Event:
    return Event(part_delta=PartDelta(index=index, text=words))


def arguments(piece: str, call_id: str = "c1") -> Event:
    return Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id=call_id, arguments=piece))


def told(events: list[Event]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for event in events:
        kind = event.WhichOneof("payload") or ""
        found.append((kind, event.part_delta.text or event.tool_call_arguments_delta.arguments))
    return found


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], []),
        ([text("a")], [("part_delta", "a")]),
        ([text("a"), text("b"), text("c")], [("part_delta", "abc")]),
        ([text("a"), text("b", 1), text("c")], [("part_delta", "a"), ("part_delta", "b"), ("part_delta", "c")]),
        ([arguments("{"), arguments("}")], [("tool_call_arguments_delta", "{}")]),
        ([arguments("a"), arguments("b", "c2")], [("tool_call_arguments_delta", "a"), ("tool_call_arguments_delta", "b")]),
        ([text("a"), arguments("b"), text("c")], [("part_delta", "a"), ("tool_call_arguments_delta", "b"), ("part_delta", "c")]),
        (
            [text("a"), Event(usage_reported=UsageReported()), text("b")],
            [("part_delta", "a"), ("usage_reported", ""), ("part_delta", "b")],
        ),
        ([text("a"), text(""), text("b")], [("part_delta", "ab")]),
        ([Event(), Event()], [("", ""), ("", "")]),
    ],
)
def test_only_neighbours_of_the_same_part_or_call_are_joined(events: list[Event], expected: list[tuple[str, str]]) -> None:
    assert expected == told(merge(events))


def test_log_probabilities_are_joined_in_order() -> None:
    events = [
        Event(part_delta=PartDelta(text=token, log_probabilities=[TokenLogProbability(token=token, log_probability=-1)])) for token in "abc"
    ]
    [merged] = merge(events)
    assert ["a", "b", "c"] == [one.token for one in merged.part_delta.log_probabilities]


def collected(events: list[Event]) -> Completion:
    collector = Collector()
    for event in events:
        collector.add(event)
    return collector.completion


DELTAS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.sampled_from((0, 1)), st.text(max_size=3)),
        st.tuples(st.just("call"), st.sampled_from((2, 3)), st.text(max_size=3)),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(deltas=DELTAS, batch_size=st.integers(1, 10))
def test_the_collected_answer_is_the_same_merged_or_not(deltas: list[tuple[str, int, str]], batch_size: int) -> None:
    def events() -> list[Event]:
        built = [Event(part_started=PartStarted(index=index, kind=PartKind.PART_KIND_TEXT)) for index in (0, 1)]
        built += [Event(tool_call_started=ToolCallStarted(call_id=f"c{index}", name="f", index=index)) for index in (2, 3)]
        built += [text(words, index) if kind == "text" else arguments(words, f"c{index}") for kind, index, words in deltas]
        built += [Event(part_ended=PartEnded(index=index, provider_state=b"s")) for index in (0, 1)]
        return [*built, Event(completed=Completed())]

    plain = events()
    merged: list[Event] = []
    batches = events()
    for start in range(0, len(batches), batch_size):
        merged += merge(batches[start : start + batch_size])
    assert collected(plain) == collected(merged)
    assert len(merged) <= len(plain)
