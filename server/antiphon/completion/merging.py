"""Merging of neighbouring deltas: what waits together is delivered together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from antiphon.api.core.v1.event_pb2 import Event


def merge(events: list[Event]) -> list[Event]:
    """Joins neighbouring deltas of the same part or call; other events keep their places.

    The events are taken over: the first delta of a run is appended to.
    """
    if len(events) < 2:  # the common case of a paced stream
        return events
    merged: list[Event] = []
    texts: list[str] = []
    previous: Event | None = None
    for event in events:
        if previous is not None and _joins(previous, event):
            if not texts:
                texts.append(_text(previous))
            texts.append(_text(event))
            if event.part_delta.log_probabilities:
                previous.part_delta.log_probabilities.extend(event.part_delta.log_probabilities)
            continue
        _close(previous, texts)
        merged.append(event)
        previous = event
    _close(previous, texts)
    return merged


def _joins(previous: Event, event: Event) -> bool:
    kind = event.WhichOneof("payload")
    if kind == "part_delta":
        return previous.HasField("part_delta") and previous.part_delta.index == event.part_delta.index
    if kind == "tool_call_arguments_delta":
        call_id = event.tool_call_arguments_delta.call_id
        return previous.HasField("tool_call_arguments_delta") and previous.tool_call_arguments_delta.call_id == call_id
    return False


def _text(event: Event) -> str:
    return event.part_delta.text or event.tool_call_arguments_delta.arguments


def _close(event: Event | None, texts: list[str]) -> None:
    """Writes the joined text once: appending piece by piece would copy it again and again."""
    if event is None or not texts:
        return
    if event.HasField("part_delta"):
        event.part_delta.text = "".join(texts)
    else:
        event.tool_call_arguments_delta.arguments = "".join(texts)
    texts.clear()
