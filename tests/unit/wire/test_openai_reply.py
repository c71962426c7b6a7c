"""Whatever a server of the dialect does with its deltas, one answer comes out: nothing lost, nothing twice, nothing merged that is two things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.core.v1.completion_pb2 import CompletionSpec, FinishReason
from antiphon.api.core.v1.event_pb2 import PartKind
from antiphon.wire.openai.decoder import ReplyDecoder
from antiphon.wire.openai.dialect import Dialect
from antiphon.wire.openai.malformed import MalformedReplyError
from antiphon.wire.openai.reply import ReportedError
from antiphon.wire.sse import EventTooLargeError
from tests.conformance.answers import Answer, collect

if TYPE_CHECKING:
    from antiphon.api.core.v1.event_pb2 import Event

TOOLS = {"tools": [{"name": "weather"}, {"name": "time"}, {"name": "timezone"}]}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **choice: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish, **choice}],
    }


def call(index: int | None, call_id: str | None = None, name: str | None = None, arguments: Any = None, **extra: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"function": {}, **extra}
    if index is not None:
        entry["index"] = index
    if call_id is not None:
        entry["id"] = call_id
    if name is not None:
        entry["function"]["name"] = name
    if arguments is not None:
        entry["function"]["arguments"] = arguments
    return chunk({"tool_calls": [entry]})


def decoder(spec: dict[str, Any] | None = None, provider: str = "openai") -> ReplyDecoder:
    return ReplyDecoder(json_format.ParseDict(spec or {}, CompletionSpec()), Dialect(provider))


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + orjson.dumps(each) + b"\n\n" for each in chunks)


def batches(*chunks: Any, spec: dict[str, Any] | None = None, done: bool = True) -> list[list[Event]]:
    """Decodes the chunks, each in a read of its own."""
    reply = decoder(spec)
    found = [reply.feed(sse(each)) for each in chunks]
    return [*found, reply.feed(b"data: [DONE]\n\n") if done else reply.finish()]


def answer(*chunks: Any, spec: dict[str, Any] | None = None) -> Answer:
    """Collects the answer from chunks in reads of their own, and sees to it that one read of them all says the same."""
    separately = collect(event for batch in batches(*chunks, spec=spec) for event in batch)
    together = collect(decoder(spec).feed(sse(*chunks) + b"data: [DONE]\n\n"))
    assert [vars(part) for part in separately.parts] == [vars(part) for part in together.parts]
    assert [(each.name, each.arguments) for each in separately.calls] == [(each.name, each.arguments) for each in together.calls]
    return separately


def test_text() -> None:
    found = answer(
        chunk({"role": "assistant", "content": "", "refusal": None}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk(finish="stop"),
    )

    assert "Hello" == found.text
    assert found.completed is not None
    assert (FinishReason.FINISH_REASON_STOP, "stop") == (found.completed.finish_reason, found.completed.provider_finish_reason)


def test_deltas_of_one_read_are_one_event() -> None:
    kinds = [event.WhichOneof("event") for event in decoder().feed(sse(*(chunk({"content": "a"}) for _ in range(100))))]

    assert ["part_started", "part_delta"] == kinds


def test_argument_deltas_of_one_read_are_one_event_a_call() -> None:
    reply = decoder(TOOLS)
    reply.feed(sse(call(0, "a", "weather", "{"), call(1, "b", "time", "{")))

    events = reply.feed(sse(*(call(number % 2, arguments=str(number)) for number in range(10))))

    assert [("a", "02468"), ("b", "13579")] == [
        (e.tool_call_arguments_delta.call_id, e.tool_call_arguments_delta.arguments) for e in events
    ]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_then_text(field: str) -> None:
    found = answer(chunk({field: "h"}), chunk({field: "m", "content": ""}), chunk({"content": "a", field: None}), chunk(finish="stop"))

    assert [PartKind.PART_KIND_REASONING, PartKind.PART_KIND_TEXT] == [part.kind for part in found.parts]
    assert ("hm", "a") == (found.reasoning, found.text)


def test_a_refusal_is_text_that_the_finish_reason_tells_from_an_answer() -> None:
    found = answer(chunk({"refusal": "I "}), chunk({"refusal": "won't."}), chunk(finish="stop"))

    assert "I won't." == found.text
    assert found.completed is not None
    assert (FinishReason.FINISH_REASON_CONTENT_FILTER, "stop") == (found.completed.finish_reason, found.completed.provider_finish_reason)


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


FINISHES: list[tuple[str, FinishReason]] = [
    ("stop", FinishReason.FINISH_REASON_STOP),
    ("length", FinishReason.FINISH_REASON_LENGTH),
    ("content_filter", FinishReason.FINISH_REASON_CONTENT_FILTER),
    ("tool_calls", FinishReason.FINISH_REASON_TOOL_CALLS),
    ("function_call", FinishReason.FINISH_REASON_TOOL_CALLS),
    ("eos", FinishReason.FINISH_REASON_UNSPECIFIED),
]


@pytest.mark.parametrize(("word", "reason"), FINISHES)
def test_finish_reason(word: str, reason: FinishReason) -> None:
    found = answer(chunk({"content": "a"}), chunk(finish=word))

    assert found.completed is not None
    assert (reason, word) == (found.completed.finish_reason, found.completed.provider_finish_reason)


def test_stop_after_a_call_means_that_tools_are_asked_for() -> None:
    found = answer(call(0, "a", "weather", "{}"), chunk(finish="stop"), spec=TOOLS)

    assert found.completed is not None
    assert (FinishReason.FINISH_REASON_TOOL_CALLS, "stop") == (found.completed.finish_reason, found.completed.provider_finish_reason)


def usage_chunk(**usage: Any) -> dict[str, Any]:
    return {"choices": [], "usage": usage}


USAGES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "plain": ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, {"input_tokens": 3, "output_tokens": 2}),
    "details": (
        {
            "prompt_tokens": 30,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 2, "cache_write_tokens": 3, "image_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 6},
        },
        {
            "input_tokens": 30,
            "output_tokens": 20,
            "cache_read_tokens": 1,
            "audio_input_tokens": 2,
            "cache_write_tokens": 3,
            "image_input_tokens": 4,
            "reasoning_tokens": 5,
            "audio_output_tokens": 6,
        },
    ),
    "no details": ({"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": None}, {"input_tokens": 1, "output_tokens": 1}),
    "reasoning in the total alone": (
        {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 105},
        {"input_tokens": 3, "output_tokens": 102},
    ),
    "another name for the cache": (
        {"prompt_tokens": 3, "completion_tokens": 2, "prompt_cache_hit_tokens": 1},
        {"input_tokens": 3, "output_tokens": 2, "cache_read_tokens": 1},
    ),
    "odd numbers": ({"prompt_tokens": 3.0, "completion_tokens": -1, "total_tokens": "x"}, {"input_tokens": 3}),
    "too large a number": ({"prompt_tokens": 2**64 - 1, "completion_tokens": 0}, {"input_tokens": 2**63 - 1}),
}


@pytest.mark.parametrize(("usage", "counts"), USAGES.values(), ids=USAGES)
def test_usage(usage: dict[str, Any], counts: dict[str, int]) -> None:
    found = answer(chunk({"content": "a"}), chunk(finish="stop"), usage_chunk(**usage))

    assert [counts] == [{field.name: value for field, value in usage.ListFields()} for usage in found.usages]
    assert found.completed is not None
    assert found.usages[0] == found.completed.usage


def test_usage_in_every_chunk_is_reported_once() -> None:
    found = answer(
        {**chunk({"content": "a"}), "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {**chunk(finish="stop"), "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    )

    assert [2] == [usage.output_tokens for usage in found.usages]


def test_no_usage_is_no_usage() -> None:
    found = answer(chunk({"content": "a"}), chunk(finish="stop"))

    assert [] == found.usages
    assert found.completed is not None
    assert not found.completed.HasField("usage")


LOGPROBS = {
    "content": [
        {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}
    ]
}


def test_log_probabilities_that_were_asked_for() -> None:
    found = answer(
        chunk({"content": "a"}, logprobs=LOGPROBS),
        chunk({"content": ""}, logprobs=LOGPROBS),
        chunk(finish="stop"),
        spec={"sampling": {"topLogprobs": 2}},
    )

    assert "a" == found.text
    assert ["a", "a"] == [token.token for token in found.log_probabilities]
    assert [("a", -0.5), ("b", -1)] == [(other.token, other.log_probability) for other in found.log_probabilities[0].alternatives]


def test_log_probabilities_that_were_not_asked_for() -> None:
    assert [] == answer(chunk({"content": "a"}, logprobs=LOGPROBS), chunk(finish="stop")).log_probabilities


def citation(url: str = "https://example.org/", **source: Any) -> dict[str, Any]:
    return {"type": "url_citation", "url_citation": {"url": url, "title": "T", "start_index": 0, "end_index": 4, **source}}


def test_citations_are_parts_of_their_own() -> None:
    found = answer(chunk({"content": "Bonn"}), chunk({"annotations": [citation(), citation("https://example.com/")]}), chunk(finish="stop"))

    cited = [part.whole.citation for part in found.parts if part.whole is not None]
    assert [("https://example.org/", "T", 0, 4), ("https://example.com/", "T", 0, 4)] == [
        (c.uri, c.title, c.start_index, c.end_index) for c in cited
    ]


def test_a_citation_is_told_once() -> None:
    found = answer(
        chunk({"content": "B", "annotations": [citation()]}), chunk({"content": "onn", "annotations": [citation()]}), chunk(finish="stop")
    )

    assert 1 == len([part for part in found.parts if part.whole is not None])
    assert "Bonn" == found.text


def test_a_citation_without_a_span() -> None:
    found = answer(chunk({"content": "a", "annotations": [citation(start_index=None, end_index=-1, title=None)]}), chunk(finish="stop"))

    whole = found.parts[-1].whole
    assert whole is not None
    assert not whole.citation.HasField("start_index")


def test_the_end_may_lack_its_mark_but_not_its_reason() -> None:
    collect(event for batch in batches(chunk({"content": "a"}), chunk(finish="stop"), done=False) for event in batch)

    with pytest.raises(MalformedReplyError, match="ended before"):
        batches(chunk({"content": "a"}), done=False)


def test_a_mark_of_the_end_without_its_blank_line() -> None:
    reply = decoder()

    assert [] == collect([*reply.feed(sse(chunk(finish="stop")) + b"data: [DONE]"), *reply.finish()]).parts


def test_a_mark_of_the_end_without_an_answer() -> None:
    with pytest.raises(MalformedReplyError, match="no answer"):
        decoder().feed(b"data: [DONE]\n\n")


def test_what_arrived_before_a_failure_is_not_lost() -> None:
    reply = decoder()
    first = reply.feed(sse(chunk({"content": "a"})))
    usage = {**chunk({"content": "b"}), "usage": {"prompt_tokens": 1, "completion_tokens": 2}}

    with pytest.raises(ReportedError):
        reply.feed(sse(usage, {"error": {"message": "x"}}))
    found = collect([*first, *reply.salvage()], whole=False)

    assert ("ab", [2]) == (found.text, [usage.output_tokens for usage in found.usages])


def test_an_event_named_error_is_an_error() -> None:
    with pytest.raises(ReportedError):
        decoder().feed(b'event: error\ndata: {"message": "x"}\n\n')


def test_empty_events_are_passed_over() -> None:
    assert [] == decoder().feed(b"data: \n\ndata:\n\n")


def whole(message: dict[str, Any], finish: str = "stop", spec: dict[str, Any] | None = None, **choice: Any) -> Answer:
    reply = {
        "choices": [{"index": 0, "message": message, "finish_reason": finish, **choice}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    return collect(decoder(spec).whole(orjson.dumps(reply)))


def test_whole_reply() -> None:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "weather", "arguments": "{}"}} for n in range(2)]
    found = whole(
        {"role": "assistant", "content": "a", "reasoning_content": "hm", "tool_calls": calls, "annotations": [citation()], "audio": None},
        finish="tool_calls",
        logprobs=LOGPROBS,
        spec={"sampling": {"topLogprobs": 2}},
    )

    assert ("hm", "a", ["c0", "c1"]) == (found.reasoning, found.text, [each.call_id for each in found.calls])
    assert [2] == [usage.output_tokens for usage in found.usages]
    assert 1 == len(found.log_probabilities)


def test_whole_reply_of_calls_without_ids() -> None:
    found = whole({"content": None, "tool_calls": [{"function": {"name": "weather", "arguments": {}}}] * 2}, finish="tool_calls")

    assert [("weather", "{}")] * 2 == [(each.name, each.arguments) for each in found.calls]
    assert 2 == len({each.call_id for each in found.calls})


def test_empty_whole_reply() -> None:
    assert [] == whole({"content": None}).parts


MALFORMED: dict[str, Any] = {
    "no object": [],
    "choices no list": {"choices": {"a": 1}},
    "choice no object": {"choices": [1]},
    "delta no object": {"choices": [{"delta": "a"}]},
    "content no text": chunk({"content": 1}),
    "content a list": chunk({"content": [{"type": "text"}]}),
    "reasoning no text": chunk({"reasoning": {"a": 1}}),
    "refusal no text": chunk({"refusal": 1}),
    "calls no list": chunk({"tool_calls": {"a": 1}}),
    "call no object": chunk({"tool_calls": [1]}),
    "another kind of call": call(0, "a", "weather", "{}", type="custom"),
    "function no object": chunk({"tool_calls": [{"index": 0, "function": "x"}]}),
    "arguments no text": call(0, "a", "weather", 5),
    "arguments without a name": call(0, "a", None, "{}"),
    "annotations no list": chunk({"annotations": "x"}),
    "audio": chunk({"audio": {"data": "x"}}),
    "finish reason no text": chunk(finish=5),  # pyright: ignore[reportArgumentType] - that is the point
    "usage no object": {"choices": [], "usage": [1]},
}


@pytest.mark.parametrize("bad", MALFORMED.values(), ids=MALFORMED)
def test_malformed_chunk(bad: Any) -> None:
    with pytest.raises(MalformedReplyError):
        decoder().feed(sse(bad))


@pytest.mark.parametrize("bad", [b"data: {\n\n", b"data: <html>\n\n", b"data: \xff\n\n", b'data: {"a": NaN}\n\n'])
def test_garbage(bad: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        decoder().feed(bad)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "content",
                    "reasoning",
                    "refusal",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "id",
                    "index",
                    "type",
                    "annotations",
                    "url_citation",
                    "start_index",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
EXPECTED = (MalformedReplyError, ReportedError, orjson.JSONDecodeError, EventTooLargeError)


@given(st.lists(st.fixed_dictionaries({}, optional={"delta": JSON, "finish_reason": JSON, "logprobs": JSON}), max_size=4), JSON)
def test_no_reply_raises_anything_else(choices: list[dict[str, Any]], usage: Any) -> None:
    reply = decoder({**TOOLS, "sampling": {"topLogprobs": 1}})
    events: list[Event] = []
    try:
        for choice in choices:
            events += reply.feed(sse({"choices": [choice], "usage": usage}))
        events += reply.feed(b"data: [DONE]\n\n")
    except EXPECTED:
        collect([*events, *reply.salvage()], whole=False)
    else:
        collect(events)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(noise: bytes) -> None:
    reply = decoder()
    try:
        reply.feed(sse(chunk({"content": "a"})) + noise)
        reply.finish()
    except EXPECTED:
        reply.salvage()
