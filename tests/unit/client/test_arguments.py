"""What a caller gets wrong is a TypeError or a ValueError that names it, before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from antiphon_client import AsyncClient, Client, Tool, contract, user
from tests.unit.client.test_requests import spec_of

if TYPE_CHECKING:
    from tests.unit.client.fake_server import FakeServer

WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"temperature": "hot"}, TypeError, "temperature is a number, not str 'hot'"),
    ({"temperature": True}, TypeError, "temperature is a number"),
    ({"max_output_tokens": 1.5}, TypeError, "max_output_tokens is an integer, not float 1.5"),
    ({"max_output_tokens": 2**31}, ValueError, "max_output_tokens is an integer of 32 bits"),
    ({"seed": 2**63}, ValueError, "seed is an integer of 64 bits"),
    ({"top_k": -(2**31) - 1}, ValueError, "top_k"),
    ({"stop": 3}, TypeError, "stop is a list of strings"),
    ({"stop": ["a", 3]}, TypeError, r"stop\[1\] is a string"),
    ({"parallel_tool_calls": "yes"}, TypeError, "parallel_tool_calls is True or False"),
    ({"tool_choice": "banana"}, ValueError, "^tool_choice is one of auto, none, required, or a Tool; not 'banana'$"),
    ({"tool_choice": 1}, TypeError, "tool_choice is one of"),
    ({"reasoning_effort": "huge"}, ValueError, "^reasoning_effort is one of none, minimal, low, medium, high; not 'huge'$"),
    ({"unsupported_parameters": "drop"}, ValueError, "^unsupported_parameters is one of error, ignore; not 'drop'$"),
    ({"provider_options": {"acme": 1}}, TypeError, r"provider_options\['acme'\] is a mapping"),
    ({"provider_options": [1]}, TypeError, "provider_options is a mapping"),
    ({"provider_options": {"acme": {"a": [b"x"]}}}, TypeError, r"provider_options\['acme'\]\['a'\]\[0\] is no value of JSON"),
    ({"labels": {"a": 1}}, TypeError, r"labels\['a'\] is a string"),
    ({"response_format": "yaml"}, ValueError, "response_format is 'text', 'json' or a JSON Schema; not 'yaml'"),
    ({"response_format": 3}, TypeError, "response_format"),
    ({"response_format": {"type": {1}}}, TypeError, "response_format cannot be written as JSON"),
    ({"tools": Tool("look")}, TypeError, "tools is a list of tools"),
    ({"tools": ["look"]}, TypeError, r"tools\[0\] is a Tool"),
    ({"tools": [{"name": "look"}]}, ValueError, r"tools\[0\] is no tool"),
    ({"tools": [{"type": "function", "function": {"name": "look", "extra": 1}}]}, ValueError, "extra"),
    ({"max_tokens": 3}, TypeError, "^unknown parameter 'max_tokens'; did you mean 'max_output_tokens'\\?$"),
    ({"temprature": 3}, TypeError, "did you mean 'temperature'"),
    ({"zzz": 3}, TypeError, "^unknown parameter 'zzz'$"),
    ({"timeout": 3}, TypeError, "did you mean 'timeout_s'"),
    ({"timeout_s": "soon"}, TypeError, "timeout_s is a number"),
    ({"retries": -1}, ValueError, "retries"),
    ({"metadata": {"a key": "x"}}, ValueError, "'a key'"),
    ({"metadata": {"": "x"}}, ValueError, "key of metadata"),
    ({"metadata": {"grpc-x": "x"}}, ValueError, "'grpc-x'"),
    ({"metadata": {"x-bin": "x"}}, ValueError, "'x-bin'"),
    ({"metadata": {"x": "line\n"}}, ValueError, r"metadata\['x'\]"),
    ({"metadata": {"x": 1}}, TypeError, r"metadata\['x'\] is a string"),
    ({"model": 3}, TypeError, "model is a string"),
    ({"messages": 3}, TypeError, "messages is a list of messages"),
    ({"messages": [("user", "Hi")]}, TypeError, r"messages\[0\] is a string, a Message"),
    ({"messages": [{"role": "user", "content": 3}]}, TypeError, r"messages\[0\]\['content'\]"),
    ({"messages": [{"role": "user", "content": ["a", 3]}]}, TypeError, r"messages\[0\]: part 1"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, ValueError, r"image\(\.\.\.\)"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache": 1}]}]}, ValueError, "'cache'"),
    ({"messages": [{"role": "tool", "content": "x"}]}, ValueError, "call_id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, ValueError, "call_id"),
    ({"messages": [{"role": "assistant", "tool_calls": [3]}]}, TypeError, r"tool_calls'\]\[0\]"),
]


@pytest.mark.parametrize(("given", "kind", "told"), WRONG)
async def test_wrong_arguments_name_the_parameter_and_send_nothing(  # noqa: PLR0917  # two faces and a case
    server: FakeServer, client: AsyncClient, blocking: Client, given: dict[str, Any], kind: type[Exception], told: str
) -> None:
    arguments: dict[str, Any] = {"model": "m", "messages": "Hi"} | given
    with pytest.raises(kind, match=told):
        blocking.completions.create(**arguments)
    with pytest.raises(kind, match=told):
        await client.completions.create(**arguments)
    with pytest.raises(kind, match=told):
        blocking.completions.stream(**arguments)
    with pytest.raises(kind, match=told):
        client.completions.stream(**arguments)
    assert [] == server.calls


async def test_a_request_that_cannot_be_encoded_is_never_sent(server: FakeServer, client: AsyncClient, blocking: Client) -> None:
    core = contract.core
    bad: Any = core.Message(role=core.Role.USER, parts=[core.Part(text=3)])  # pyright: ignore[reportArgumentType]
    for messages in ([bad], ["Hi", bad]):
        with pytest.raises(TypeError, match="CompleteRequest cannot be encoded"):
            blocking.completions.create(model="m", messages=messages)
        with pytest.raises(TypeError, match="CompleteRequest cannot be encoded"):
            await client.completions.create(model="m", messages=messages)
        with pytest.raises(TypeError, match="cannot be encoded"):
            blocking.completions.stream(model="m", messages=messages)
        with pytest.raises(TypeError, match="cannot be encoded"):
            client.completions.stream(model="m", messages=messages)
    nothing: Any = 5
    with pytest.raises(TypeError, match="a request is a message"):
        blocking.raw.unary("/x/y", nothing, contract.model.GetModelResponse)
    assert [] == server.calls


async def test_other_calls_check_their_arguments_too(server: FakeServer, client: AsyncClient, blocking: Client) -> None:
    wrong: Any = "soon"
    with pytest.raises(TypeError, match="interval_s"):
        blocking.health.watch(interval_s=wrong)
    with pytest.raises(TypeError, match="merge_window_s"):
        client.completions.stream(model="m", messages="Hi", merge_window_s=wrong)
    with pytest.raises(TypeError, match="components is a list of strings"):
        await client.health.check(wrong)
    with pytest.raises(TypeError, match="name is a string"):
        blocking.models.get(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="page_size"):
        list(blocking.models.list(page_size=wrong))
    with pytest.raises(TypeError, match="did you mean 'timeout_s'"):
        blocking.health.check(timeout=3)  # pyright: ignore[reportCallIssue]
    assert [] == server.calls


@pytest.mark.parametrize("face", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        ({"metadata": {"no good": "x"}}, ValueError, "no good"),
        ({"api_key": "k1\n"}, ValueError, "^api_key is a header's text[^k]*$"),
        ({"timeout_s": "soon"}, TypeError, "timeout_s"),
        ({"retries": None}, TypeError, "retries"),
        ({"target": 50051}, TypeError, "target is a string"),
    ],
)
def test_a_client_checks_its_own(face: type[Client | AsyncClient], given: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        face(**given)


def test_what_other_clients_write_is_read() -> None:
    parts = [{"type": "text", "text": "a"}, "b"]
    assert spec_of([user("a", "b")]) == spec_of(({"role": "user", "content": parts},)) == spec_of([user(*parts)])
    assert spec_of([user("a")]) == spec_of({"role": "user", "content": {"type": "text", "text": "a"}})
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    function = {"name": "look", "description": "Looks.", "parameters": schema, "strict": True}
    assert spec_of(tools=[Tool("look", "Looks.", schema, strict=True)]) == spec_of(tools=[{"type": "function", "function": function}])


async def test_a_closed_client_says_so(server: FakeServer) -> None:
    blocking, client = Client(server.target), AsyncClient(server.target)
    blocking.health.check()
    await client.health.check()
    early, early_blocking = client.completions.stream(model="m", messages="Hi"), blocking.completions.stream(model="m", messages="Hi")
    blocking.close()
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        blocking.health.check()
    with pytest.raises(RuntimeError, match="the client is closed"):
        blocking.completions.stream(model="m", messages="Hi")
    with pytest.raises(RuntimeError, match="the client is closed"):
        early_blocking.final()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await client.health.check()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.completions.stream(model="m", messages="Hi")
    with pytest.raises(RuntimeError, match="the client is closed"):
        await early.final()
    assert 2 == len(server.calls)
