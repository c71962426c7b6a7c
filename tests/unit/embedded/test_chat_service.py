"""One pipeline answers as text, as checked JSON or as a tool call, and stops when its consumer leaves."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.embedded.model_server.chat_request import parse_chat_request
from antiphon.embedded.model_server.chat_service import ChatService, ToolCallStarted
from antiphon.embedded.model_server.engine import Finished, TextDelta
from antiphon.embedded.model_server.errors import EngineFaultError
from tests.unit.embedded.fake_engine import FakeEmbedder, FakeEngine

if TYPE_CHECKING:
    from antiphon.embedded.model_server.chat_service import ChatEvent

_CITY: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_UNIQUE: Any = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 2}
_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "get_weather", "description": "Forecast.", "parameters": _CITY}},
    {"type": "function", "function": {"name": "set_timer", "description": "Countdown."}},
]


async def _events(engine: FakeEngine, word: str = "Forecast", **body: Any) -> list[ChatEvent]:
    message: Any = [{"role": "user", "content": "Weather in Oslo?"}]
    request = parse_chat_request({"model": "m", "messages": message, **body}, "m", 100)
    async with aclosing(ChatService(engine, FakeEmbedder(word)).answer(request)) as events:
        return [event async for event in events]


def _text(events: list[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _json_schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


async def test_text_comes_as_deltas_and_an_end() -> None:
    assert [TextDelta("h"), TextDelta("i"), Finished("stop", 5, 2)] == await _events(FakeEngine("hi"))


async def test_auto_calls_the_near_tool() -> None:
    events = await _events(FakeEngine('{"city": "Oslo"}'), tools=_TOOLS)
    first = events[0]
    assert isinstance(first, ToolCallStarted)
    assert ("get_weather", '{"city": "Oslo"}') == (first.name, _text(events))


async def test_auto_answers_in_text_when_no_tool_is_near() -> None:
    engine = FakeEngine("hi")
    assert "hi" == _text(await _events(engine, "joke", tools=_TOOLS))
    assert engine.asked[0].grammar is None


async def test_auto_answers_in_text_after_a_result() -> None:
    engine = FakeEngine("rain")
    call = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Weather in Oslo?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]
    assert "rain" == _text(await _events(engine, tools=_TOOLS, messages=messages))


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "get_weather"),
        ({"type": "function", "function": {"name": "set_timer"}}, "set_timer"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [_TOOLS[1]]}},
            "set_timer",
        ),
    ],
)
async def test_required_always_calls(choice: Any, name: str) -> None:
    events = await _events(FakeEngine('{"city": ""}' if name == "get_weather" else "{}"), tools=_TOOLS, tool_choice=choice)
    assert name == next(event.name for event in events if isinstance(event, ToolCallStarted))


async def test_none_never_calls() -> None:
    engine = FakeEngine("hi")
    assert "hi" == _text(await _events(engine, tools=_TOOLS, tool_choice="none"))


async def test_a_stop_sequence_does_not_cut_arguments() -> None:
    engine = FakeEngine('{"city": "Oslo"}')
    await _events(engine, tools=_TOOLS, stop="Oslo")
    assert () == engine.asked[0].sampling.stop


async def test_cut_arguments_end_with_length() -> None:
    events = await _events(FakeEngine('{"city": "Os', reason="length"), tools=_TOOLS)
    assert ('{"city": "Os', Finished("length", 5, 12)) == (_text(events), events[-1])


@pytest.mark.parametrize("stream", [False, True])
async def test_json_is_checked_before_it_ends(stream: bool) -> None:
    events = await _events(FakeEngine('{"city": "Oslo"}'), response_format=_json_schema(_CITY), stream=stream)
    assert '{"city": "Oslo"}' == _text(events)


async def test_what_the_constraint_cannot_express_is_repaired() -> None:
    engine = FakeEngine("[1, 2, 1]")
    assert "[1,2]" == _text(await _events(engine, response_format=_json_schema(_UNIQUE), stream=True))


async def test_what_cannot_be_repaired_is_tried_again_with_other_draws() -> None:
    engine = FakeEngine("[1, 1]", "[3, 4]")
    assert "[3, 4]" == _text(await _events(engine, response_format=_json_schema(_UNIQUE), temperature=0))
    assert [None, 1] == [generation.sampling.seed for generation in engine.asked]


async def test_an_answer_that_stays_invalid_is_an_error_and_never_sent() -> None:
    with pytest.raises(EngineFaultError) as failed:
        await _events(FakeEngine("[1]", "[1]", "[1]"), response_format=_json_schema(_UNIQUE))
    assert "schema_not_kept" == failed.value.code


async def test_a_streamed_answer_that_is_invalid_does_not_end_as_if_it_were_good() -> None:
    with pytest.raises(EngineFaultError):
        await _events(FakeEngine("nonsense"), response_format=_json_schema(_CITY), stream=True)


async def test_leaving_stops_the_engine() -> None:
    engine = FakeEngine("hi", stall=True)
    request = parse_chat_request({"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}, "m", 9)
    async with aclosing(ChatService(engine, FakeEmbedder("")).answer(request)) as events:
        assert TextDelta("h") == await anext(events)
    assert 1 == engine.stopped


async def test_prompt_tokens_are_counted_for_the_answer_that_would_be_given() -> None:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Weather in Oslo?"}]}
    service = ChatService(FakeEngine(), FakeEmbedder("Forecast"))
    plain = await service.count_tokens(parse_chat_request(body, "m", 9))
    with_tools = await service.count_tokens(parse_chat_request({**body, "tools": _TOOLS}, "m", 9))
    assert 3 == plain
    assert with_tools > plain
