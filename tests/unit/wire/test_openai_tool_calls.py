"""A tool call is one call whatever its server does with its deltas, and two calls are two."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.api.core.v1.completion_pb2 import FinishReason
from tests.unit.wire.openai_replies import TOOLS, answer, call, chunk, decoder, sse


def test_argument_deltas_of_one_read_are_one_event_a_call() -> None:
    reply = decoder(TOOLS)
    reply.feed(sse(call(0, "a", "weather", "{"), call(1, "b", "time", "{")))

    events = reply.feed(sse(*(call(number % 2, arguments=str(number)) for number in range(10))))

    assert [("a", "02468"), ("b", "13579")] == [
        (e.tool_call_arguments_delta.call_id, e.tool_call_arguments_delta.arguments) for e in events
    ]


CALLS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, str]]]] = {
    "as OpenAI does": (
        [call(0, "a", "weather", ""), call(0, arguments='{"ci'), call(0, arguments='ty":1}')],
        [("weather", '{"city":1}')],
    ),
    "alternating": (
        [
            call(0, "a", "weather", ""),
            call(1, "b", "time", ""),
            call(0, arguments='{"a"'),
            call(1, arguments='{"b"'),
            call(0, arguments=":1}"),
            call(1, arguments=":2}"),
        ],
        [("weather", '{"a":1}'), ("time", '{"b":2}')],
    ),
    "several in one chunk": (
        [chunk({"tool_calls": [call(n, f"c{n}", "weather", "{}")["choices"][0]["delta"]["tool_calls"][0] for n in range(3)]})],
        [("weather", "{}")] * 3,
    ),
    "all at once": ([call(0, "a", "weather", '{"x":1}')], [("weather", '{"x":1}')]),
    "no arguments": ([call(0, "a", "weather")], [("weather", "{}")]),
    "no id": ([call(0, None, "weather", "{"), call(0, arguments="}")], [("weather", "{}")]),
    "empty id": ([call(0, "", "weather", "{"), call(0, "", arguments="}")], [("weather", "{}")]),
    "id in every delta": ([call(0, "a", "weather", "{"), call(0, "a", arguments="}")], [("weather", "{}")]),
    "another id in every delta": ([call(0, "a", "weather", "{"), call(0, "x", arguments="}")], [("weather", "{}")]),
    "id after the name": ([call(0, None, "time", ""), call(0, "a", "", "{}")], [("time", "{}")]),
    "name in pieces": ([call(0, "a", "wea"), call(0, name="ther"), call(0, arguments="{}")], [("weather", "{}")]),
    "name in pieces of an unknown tool": ([call(0, "a", "un"), call(0, name="known"), call(0, arguments="{}")], [("unknown", "{}")]),
    "name that begins another": ([call(0, "a", "time"), call(0, name="zone"), call(0, arguments="{}")], [("timezone", "{}")]),
    "name in every delta": ([call(0, "a", "weather", "{"), call(0, "a", "weather", "}")], [("weather", "{}")]),
    "name in every delta of an unknown tool": ([call(0, "a", "x", ""), call(0, "a", "x", "{"), call(0, "a", "x", "}")], [("x", "{}")]),
    "index always 0": ([call(0, "a", "weather", '{"x":1}'), call(0, "b", "weather", '{"x":2}')], [("weather", '{"x":1}'), ("weather", '{"x":2}')]),
    "index always 0, no id": ([call(0, None, "weather", '{"x":1}'), call(0, None, "time", "{}")], [("weather", '{"x":1}'), ("time", "{}")]),
    "no index": ([call(None, "a", "weather", "{"), call(None, arguments="}"), call(None, "b", "time", "{}")], [("weather", "{}"), ("time", "{}")]),
    "no index, no id": ([call(None, None, "weather", "{"), call(None, arguments="}"), call(None, None, "time", "{}")], [("weather", "{}"), ("time", "{}")]),
    "one id for two calls": ([call(0, "a", "weather", "{}"), call(1, "a", "time", "{}")], [("weather", "{}"), ("time", "{}")]),
    "id beyond the contract's limit": ([call(0, "a" * 300, "weather", "{}")], [("weather", "{}")]),
    "arguments as an object": ([call(0, "a", "weather", {"x": 1})], [("weather", '{"x":1}')]),
    "arguments cut in an escape": (
        [call(0, "a", "weather", '{"x":"\\'), call(0, arguments="u00"), call(0, arguments='e9"}')],
        [("weather", '{"x":"\\u00e9"}')],
    ),
    "the old form": (
        [chunk({"function_call": {"name": "weather", "arguments": ""}}), chunk({"function_call": {"arguments": "{}"}})],
        [("weather", "{}")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("chunks", "calls"), CALLS.values(), ids=CALLS)
def test_tool_calls(chunks: list[dict[str, Any]], calls: list[tuple[str, str]]) -> None:
    found = answer(*chunks, chunk(finish="tool_calls"), spec=TOOLS)

    assert calls == [(each.name, each.arguments) for each in found.calls]
    assert all(0 < len(each.call_id) <= 256 for each in found.calls)


def test_ids_of_the_provider_are_kept() -> None:
    found = answer(call(0, "a", "weather", "{}"), call(1, "b", "time", "{}"), chunk(finish="tool_calls"), spec=TOOLS)

    assert ["a", "b"] == [each.call_id for each in found.calls]


def test_an_id_that_the_conversation_knows_is_not_given_again() -> None:
    earlier = {"toolCall": {"callId": "call_0", "name": "weather", "arguments": "{}"}}
    spec = {**TOOLS, "messages": [{"role": "ROLE_ASSISTANT", "parts": [earlier]}]}

    found = answer(call(0, "call_0", "weather", "{}"), chunk(finish="tool_calls"), spec=spec)

    assert "call_0" != found.calls[0].call_id


def test_a_known_tool_is_told_before_its_first_argument() -> None:
    (event,) = decoder(TOOLS).feed(sse(call(0, "a", "weather", "")))

    assert ("a", "weather") == (event.tool_call_started.call_id, event.tool_call_started.name)


def test_text_before_between_and_after_calls() -> None:
    found = answer(
        chunk({"content": "a"}),
        call(0, "c", "weather", "{"),
        chunk({"content": "b"}),
        call(0, arguments="}"),
        chunk(finish="stop"),
        spec=TOOLS,
    )

    assert "ab" == found.text
    assert [("weather", "{}")] == [(each.name, each.arguments) for each in found.calls]
    assert [0, 1, 2] == sorted(found.places)


def test_a_call_that_was_cut_off_gets_no_arguments_of_ours() -> None:
    found = answer(call(0, "a", "weather", ""), chunk(finish="length"), spec=TOOLS)

    assert ("weather", "") == (found.calls[0].name, found.calls[0].arguments)
    assert found.completed is not None
    assert FinishReason.FINISH_REASON_LENGTH == found.completed.finish_reason


def test_opaque_fields_of_a_call_become_state_that_names_its_provider() -> None:
    google = {"google": {"thought_signature": "abc"}}
    found = answer(call(0, "a", "weather", "{}", extra_content=google, type="function"), chunk(finish="tool_calls"), spec=TOOLS)

    assert {"provider": "openai", "tool_call": {"extra_content": google}} == orjson.loads(found.calls[0].provider_state)


def test_opaque_fields_of_several_deltas_are_joined() -> None:
    found = answer(
        call(0, "a", "weather", "{", extra_content={"google": {"x": 1}}),
        call(0, arguments="}", extra_content={"google": {"y": 2}}),
        chunk(finish="tool_calls"),
        spec=TOOLS,
    )

    assert {"extra_content": {"google": {"x": 1, "y": 2}}} == orjson.loads(found.calls[0].provider_state)["tool_call"]


def test_no_state_without_opaque_fields() -> None:
    found = answer(call(0, "a", "weather", "{}", type="function"), chunk(finish="tool_calls"), spec=TOOLS)

    assert b"" == found.calls[0].provider_state


def test_stop_after_a_call_means_that_tools_are_asked_for() -> None:
    found = answer(call(0, "a", "weather", "{}"), chunk(finish="stop"), spec=TOOLS)

    assert found.completed is not None
    assert (FinishReason.FINISH_REASON_TOOL_CALLS, "stop") == (found.completed.finish_reason, found.completed.provider_finish_reason)
