"""Whatever a server of the dialect does with its deltas, one answer comes out: nothing lost, nothing twice, nothing merged that is two things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.api.core.v1.completion_pb2 import FinishReason
from antiphon.api.core.v1.event_pb2 import PartKind
from antiphon.wire.openai.malformed import MalformedReplyError
from antiphon.wire.openai.reply import ReportedError
from antiphon.wire.sse import EventTooLargeError
from tests.conformance.answers import Answer, collect
from tests.unit.wire.openai_replies import TOOLS, answer, batches, call, chunk, decoder, sse

if TYPE_CHECKING:
    from antiphon.api.core.v1.event_pb2 import Event


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
    kinds = [event.WhichOneof("payload") for event in decoder().feed(sse(*(chunk({"content": "a"}) for _ in range(100))))]

    assert ["part_started", "part_delta"] == kinds


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
