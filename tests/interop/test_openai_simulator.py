"""The simulator speaks the API as its vendor's own client library reads it, so that what passes against the simulator can be believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.simulators.openai import (
    Answer,
    Citation,
    Delivery,
    Failure,
    HangUp,
    OpenAISimulator,
    ToolCall,
    Usage,
    bad_gateway,
    context_overflow,
    forbidden,
    gateway_timeout,
    internal_error,
    overloaded,
    quota_exhausted,
    rate_limited,
    rejected_content,
    rejected_request,
    unauthorized,
    unavailable,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello there"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
TIME: ChatCompletionToolParam = {"type": "function", "function": {"name": "time"}}


@pytest.fixture
async def simulator() -> AsyncIterator[OpenAISimulator]:
    async with OpenAISimulator() as simulator:
        yield simulator


@pytest.fixture
async def client(simulator: OpenAISimulator) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(api_key="test-key", base_url=simulator.base_url, max_retries=0, timeout=10) as client:
        yield client


async def test_whole_reply(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(Answer(tokens=("Hel", "lo"), usage=Usage(7, 2, cached_tokens=3)))

    completion = await client.chat.completions.create(model="sim-1", messages=HELLO)

    assert "Hello" == completion.choices[0].message.content
    assert "stop" == completion.choices[0].finish_reason
    assert completion.usage is not None
    assert (7, 2, 9) == (completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens)
    assert completion.usage.prompt_tokens_details is not None
    assert 3 == completion.usage.prompt_tokens_details.cached_tokens
    assert "req_1" == completion._request_id
    assert [{"role": "user", "content": "Hello there"}] == simulator.requests[0].body["messages"]


async def test_unscripted_echo_respects_the_token_limit(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(model="sim-1", messages=HELLO, max_completion_tokens=3)

    assert "You said: Hello " == completion.choices[0].message.content
    assert "length" == completion.choices[0].finish_reason


@pytest.mark.parametrize(
    "delivery",
    [
        Delivery(),
        Delivery(coalesce=True),
        Delivery(keep_alives=True),
        Delivery(line_end="\r\n"),
        Delivery(piece_bytes=7),
        Delivery(done=False),
        Delivery(final_blank_line=False),
        Delivery(token_delay_s=0.005),
    ],
    ids=["plain", "coalesced", "keep-alives", "crlf", "split", "no-done", "no-final-blank-line", "paced"],
)
async def test_stream(simulator: OpenAISimulator, client: AsyncOpenAI, delivery: Delivery) -> None:
    simulator.script(Answer(tokens=("Hel", "lo ", "wörld"), delivery=delivery))

    stream = await client.chat.completions.create(model="sim-1", messages=HELLO, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]

    assert "Hello wörld" == "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert ["stop"] == [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    assert [] == chunks[-1].choices
    assert chunks[-1].usage is not None
    assert 3 == chunks[-1].usage.completion_tokens


async def test_stream_of_parallel_tool_calls(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    calls = (ToolCall("weather", ('{"ci', 'ty":"Bo', 'nn"}')), ToolCall("time", ("{", "}"), call_id="call_time"))
    simulator.script(Answer(tool_calls=calls))

    async with client.chat.completions.stream(model="sim-1", messages=HELLO, tools=[WEATHER, TIME]) as stream:
        async for _ in stream:
            pass
        completion = await stream.get_final_completion()

    tool_calls = completion.choices[0].message.tool_calls
    assert tool_calls is not None
    assert ["weather", "time"] == [call.function.name for call in tool_calls]
    assert ['{"city":"Bonn"}', "{}"] == [call.function.arguments for call in tool_calls]
    assert "call_time" == tool_calls[1].id
    assert "tool_calls" == completion.choices[0].finish_reason


async def test_named_tool_choice_is_called_unscripted(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.create(
        model="sim-1", messages=HELLO, tools=[TIME, WEATHER], tool_choice={"type": "function", "function": {"name": "weather"}}
    )

    tool_calls = completion.choices[0].message.tool_calls
    assert tool_calls is not None
    assert tool_calls[0].type == "function"
    assert ("weather", '{"city": "text"}') == (tool_calls[0].function.name, tool_calls[0].function.arguments)


class Person(BaseModel):
    """A form for an answer."""

    name: str
    age: int


async def test_json_schema(client: AsyncOpenAI) -> None:
    completion = await client.chat.completions.parse(model="sim-1", messages=HELLO, response_format=Person)

    assert Person(name="text", age=1) == completion.choices[0].message.parsed


async def test_refusal(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(Answer(refusal=("I ", "won't.")))

    completion = await client.chat.completions.parse(model="sim-1", messages=HELLO, response_format=Person)

    assert "I won't." == completion.choices[0].message.refusal
    assert completion.choices[0].message.parsed is None


async def test_log_probabilities(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(Answer(tokens=("a", "b")))

    completion = await client.chat.completions.create(model="sim-1", messages=HELLO, logprobs=True, top_logprobs=2)

    logprobs = completion.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert ["a", "b"] == [token.token for token in logprobs.content]
    assert ["a", "a~1"] == [other.token for other in logprobs.content[0].top_logprobs]


async def test_citations(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(Answer(tokens=("Bonn",), citations=(Citation("https://example.org/", "Example", 0, 4),)))

    completion = await client.chat.completions.create(model="sim-1", messages=HELLO)

    annotations = completion.choices[0].message.annotations
    assert annotations is not None
    assert ["https://example.org/"] == [annotation.url_citation.url for annotation in annotations]


async def test_models(client: AsyncOpenAI) -> None:
    assert ["sim-1", "sim-2"] == [model.id async for model in client.models.list()]


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (rejected_request(), openai.BadRequestError),
        (context_overflow(), openai.BadRequestError),
        (rejected_content(), openai.BadRequestError),
        (unauthorized(), openai.AuthenticationError),
        (forbidden(), openai.PermissionDeniedError),
        (Failure(409, "Conflict.", "invalid_request_error"), openai.ConflictError),
        (Failure(422, "Unprocessable.", "invalid_request_error"), openai.UnprocessableEntityError),
        (rate_limited(), openai.RateLimitError),
        (rate_limited(retry_after="2"), openai.RateLimitError),
        (quota_exhausted(), openai.RateLimitError),
        (internal_error(), openai.InternalServerError),
        (bad_gateway(), openai.InternalServerError),
        (unavailable(), openai.InternalServerError),
        (gateway_timeout(), openai.InternalServerError),
        (overloaded(), openai.InternalServerError),
    ],
)
async def test_error_replies(
    simulator: OpenAISimulator, client: AsyncOpenAI, failure: Failure, raised: type[openai.APIStatusError]
) -> None:
    simulator.script(failure)

    with pytest.raises(raised) as caught:
        await client.chat.completions.create(model="sim-1", messages=HELLO)

    assert failure.status == caught.value.status_code
    assert failure.code == caught.value.code
    assert failure.message in caught.value.message
    assert "req_1" == caught.value.request_id
    assert failure.headers.get("retry-after") == caught.value.response.headers.get("retry-after")


async def test_unknown_model(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="sim-9", messages=HELLO)

    assert "model_not_found" == caught.value.code


async def test_wrong_key(simulator: OpenAISimulator) -> None:
    async with AsyncOpenAI(api_key="other", base_url=simulator.base_url, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.chat.completions.create(model="sim-1", messages=HELLO)


BROKEN_RULES: list[dict[str, Any]] = [
    {"top_k": 3},
    {"temperature": 3},
    {"max_tokens": 1, "max_completion_tokens": 1},
    {"top_logprobs": 2},
    {"stream_options": {"include_usage": True}},
    {"tool_choice": "auto"},
    {"response_format": {"type": "json_object"}},
    {"messages": []},
    {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "x"}]},
    {"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}]},
    {"tools": [{"type": "function", "function": {}}]},
]


@pytest.mark.parametrize("extra", BROKEN_RULES, ids=lambda extra: next(iter(extra)))
async def test_rules_of_the_reference_are_kept(client: AsyncOpenAI, extra: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="sim-1", messages=HELLO, extra_body=extra)


async def test_error_in_mid_stream(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(Answer(tokens=("a", "b"), delivery=Delivery(error_after=2)))

    stream = await client.chat.completions.create(model="sim-1", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="The server had an error"):
        _ = [chunk async for chunk in stream]


async def test_broken_connection(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(HangUp())

    with pytest.raises(openai.APIConnectionError):
        await client.chat.completions.create(model="sim-1", messages=HELLO)


async def test_timeout(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(Answer(tokens=("a",), delivery=Delivery(headers_delay_s=5)))

    with pytest.raises(openai.APITimeoutError):
        await client.chat.completions.create(model="sim-1", messages=HELLO, timeout=0.1)


async def test_disconnect_is_seen(simulator: OpenAISimulator, client: AsyncOpenAI) -> None:
    simulator.script(Answer(tokens=("a", "b"), delivery=Delivery(token_delay_s=0.01, endless=True)))

    stream = await client.chat.completions.create(model="sim-1", messages=HELLO, stream=True)
    async for _ in stream:
        break
    await stream.close()

    seen_s = await simulator.disconnected(timeout_s=2)
    record = simulator.requests[0]
    assert record.first_event_s is not None
    assert record.received_s < record.first_event_s < seen_s
