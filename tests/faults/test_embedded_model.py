"""The embedded model's process: it serves the OpenAI wire format, stops when asked, and survives being killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import jsonschema_rs
import pytest
import pytest_asyncio

from antiphon.embedded.model_config import EmbeddedModelConfig
from antiphon.embedded.model_errors import EmbeddedModelUnavailable
from antiphon.embedded.model_supervisor import EmbeddedModelSupervisor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.embedded.model_supervisor import Endpoint

_SKY = [{"role": "user", "content": "Why is the sky blue?"}]
_STORY = [{"role": "user", "content": "Write a very long story about a journey around the world."}]
_LONG_PROMPT = [{"role": "user", "content": "word " * 3500}]
_PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "mood": {"enum": ["good", "bad"]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
    },
    "required": ["name", "age", "mood", "tags"],
    "additionalProperties": False,
}
_WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather and forecast for a place.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_TIMER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "set_timer",
        "description": "Start a countdown timer.",
        "parameters": {"type": "object", "properties": {"seconds": {"type": "integer"}}, "required": ["seconds"]},
    },
}
# Far less than the calls that hold the slots would take, and enough for a busy machine.
_SOON_S = 20.0


class Client:
    """Calls the model as the OpenAI adapter does."""

    def __init__(self, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        self._endpoint = endpoint
        self._session = session

    def post(self, path: str = "/chat/completions", **body: Any) -> Any:
        return self._session.post(
            self._endpoint.base_url + path,
            json={"model": EmbeddedModelConfig().model_name, "temperature": 0, **body},
            headers={"Authorization": f"Bearer {self._endpoint.api_key}"},
        )

    async def answer(self, path: str = "/chat/completions", **body: Any) -> tuple[int, Any]:
        async with self.post(path, **body) as response:
            return response.status, await response.json()

    async def deltas(self, **body: Any) -> list[Any]:
        async with self.post(stream=True, **body) as response:
            assert 200 == response.status
            events = (await response.text()).removesuffix("\n\n").split("\n\n")
        assert "data: [DONE]" == events.pop()
        return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_endpoint() -> AsyncGenerator[Endpoint]:
    """One process for all tests that leave it alive."""
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig())
    yield await supervisor.ensure_running()
    await supervisor.close()


@pytest.fixture
async def client(shared_endpoint: Endpoint) -> AsyncGenerator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(shared_endpoint, session)


def _is_alive(process_id: int) -> bool:
    """A zombie is dead: nobody may be there to reap an orphan in a container."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _command_line_and_folder(process_id: int) -> tuple[str, Path]:
    process = Path(f"/proc/{process_id}")
    return process.joinpath("cmdline").read_text(), process.joinpath("cwd").resolve()


async def test_it_starts_answers_and_ends() -> None:
    phases: list[str] = []
    lines: list[str] = []
    supervisor = EmbeddedModelSupervisor(
        EmbeddedModelConfig(parallel_slots=1, context_tokens=512),
        on_progress=lambda progress: phases.append(progress.phase),
        on_line=lines.append,
    )
    await supervisor.ping()
    assert supervisor.process_id is None
    endpoint = await supervisor.ensure_running()
    process_id = supervisor.process_id
    assert process_id is not None
    assert endpoint == await supervisor.ensure_running()
    await supervisor.ping()
    command_line, folder = _command_line_and_folder(process_id)
    assert endpoint.api_key not in command_line
    async with aiohttp.ClientSession() as session:
        status, body = await Client(endpoint, session).answer(messages=_SKY, max_tokens=4)
    assert (200, "length") == (status, body["choices"][0]["finish_reason"])
    await supervisor.close()
    assert (False, False) == (_is_alive(process_id), folder.exists())
    assert ["starting", "loading", "ready"] == phases


async def test_streamed_and_whole_answers_are_the_same_at_temperature_zero(client: Client) -> None:
    body: dict[str, Any] = {"messages": _SKY, "max_tokens": 24}
    _, whole = await client.answer(**body)
    *chunks, usage = await client.deltas(**body, stream_options={"include_usage": True})
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert whole["choices"][0]["message"]["content"] == text
    assert whole["usage"] == usage["usage"]
    turn = [*_SKY, {"role": "assistant", "content": text}, {"role": "user", "content": "Say more about that."}]
    _, again = await client.answer(messages=turn, max_tokens=24)
    # In between another prompt was computed in the same slots: nothing of it may show.
    await client.answer(messages=_STORY, max_tokens=4)
    assert again["choices"] == (await client.answer(messages=turn, max_tokens=24))[1]["choices"]


async def test_log_probabilities_come_with_the_text(client: Client) -> None:
    _, body = await client.answer(messages=_SKY, max_tokens=3, logprobs=True, top_logprobs=2)
    choice = body["choices"][0]
    entries = choice["logprobs"]["content"]
    assert choice["message"]["content"] == "".join(entry["token"] for entry in entries)
    assert [2, 2, 2] == [len(entry["top_logprobs"]) for entry in entries]


async def test_a_stop_sequence_ends_the_text(client: Client) -> None:
    _, body = await client.answer(messages=[{"role": "user", "content": "Count: one two"}], stop=[" "], max_tokens=40)
    choice = body["choices"][0]
    assert ("stop", False) == (choice["finish_reason"], " " in choice["message"]["content"])


async def test_json_keeps_to_the_schema(client: Client) -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "person", "schema": _PERSON}}
    messages = [{"role": "user", "content": "Describe Anna, who is 34 and happy."}]
    _, body = await client.answer(messages=messages, response_format=response_format)
    assert "stop" == body["choices"][0]["finish_reason"]
    jsonschema_rs.validate(_PERSON, json.loads(body["choices"][0]["message"]["content"]))
    _, body = await client.answer(messages=messages, response_format={"type": "json_object"})
    assert isinstance(json.loads(body["choices"][0]["message"]["content"]), dict)


async def test_a_tool_is_chosen_and_its_arguments_are_valid(client: Client) -> None:
    messages = [{"role": "user", "content": "Will it rain in Oslo tomorrow?"}]
    _, body = await client.answer(messages=messages, tools=[_TIMER, _WEATHER])
    choice = body["choices"][0]
    call = choice["message"]["tool_calls"][0]
    assert ("tool_calls", "get_weather") == (choice["finish_reason"], call["function"]["name"])
    jsonschema_rs.validate(_WEATHER["function"]["parameters"], json.loads(call["function"]["arguments"]))
    result = {"role": "tool", "tool_call_id": call["id"], "content": "Rain all day, 7 degrees."}
    messages += [choice["message"], result]
    _, body = await client.answer(messages=messages, tools=[_TIMER, _WEATHER], max_tokens=40)
    assert None is body["choices"][0]["message"].get("tool_calls")
    _, body = await client.answer(messages=messages[:1], tools=[_TIMER, _WEATHER], max_tokens=2)
    assert "length" == body["choices"][0]["finish_reason"]


async def test_a_message_that_needs_no_tool_is_answered_in_text(client: Client) -> None:
    messages = [{"role": "user", "content": "Hello, how are you today?"}]
    _, body = await client.answer(messages=messages, tools=[_TIMER, _WEATHER], max_tokens=8)
    assert None is body["choices"][0]["message"].get("tool_calls")
    _, body = await client.answer(messages=messages, tools=[_TIMER, _WEATHER], tool_choice="required")
    assert 1 == len(body["choices"][0]["message"]["tool_calls"])


async def test_a_prompt_beyond_the_context_is_refused(client: Client) -> None:
    messages = [{"role": "user", "content": "word " * 5000}]
    status, tokens = await client.answer("/chat/completions/tokens", messages=messages)
    assert (200, True) == (status, tokens["input_tokens"] > EmbeddedModelConfig().context_tokens)
    for stream in (False, True):
        status, body = await client.answer(messages=messages, stream=stream)
        assert (400, "context_length_exceeded") == (status, body["error"]["code"])


async def test_tokens_are_counted_as_they_are_charged(client: Client) -> None:
    _, counted = await client.answer("/chat/completions/tokens", messages=_SKY)
    _, body = await client.answer(messages=_SKY, max_tokens=1)
    assert body["usage"]["prompt_tokens"] == counted["input_tokens"]


@pytest.mark.parametrize("messages", [_STORY, _LONG_PROMPT], ids=["while generating", "while reading the prompt"])
async def test_leaving_frees_the_slots_for_those_who_wait(client: Client, messages: Any) -> None:
    slots = EmbeddedModelConfig().parallel_slots
    taken = [asyncio.create_task(client.answer(messages=messages, max_tokens=2000)) for _ in range(slots)]
    await asyncio.sleep(1)
    waiting = asyncio.create_task(client.answer(messages=_SKY, max_tokens=1))
    done, _ = await asyncio.wait({waiting}, timeout=0.5)
    assert set() == done
    for task in taken:
        task.cancel()
    async with asyncio.timeout(_SOON_S):
        assert 200 == (await waiting)[0]


async def test_killed_in_the_middle_of_a_stream_it_is_there_for_the_next_call() -> None:
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig(parallel_slots=1, context_tokens=512))
    async with aiohttp.ClientSession() as session:
        endpoint = await supervisor.ensure_running()
        process_id = supervisor.process_id
        assert process_id is not None
        async with Client(endpoint, session).post(messages=_STORY, max_tokens=400, stream=True) as response:
            await response.content.readline()
            os.kill(process_id, signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await response.read()
        new_endpoint = await supervisor.ensure_running()
        status, _ = await Client(new_endpoint, session).answer(messages=_SKY, max_tokens=2)
    assert (200, False) == (status, _is_alive(process_id))
    assert endpoint.api_key != new_endpoint.api_key
    await supervisor.close()


async def test_closing_in_the_middle_of_a_stream_leaves_no_process() -> None:
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig(parallel_slots=1, context_tokens=512))
    async with aiohttp.ClientSession() as session:
        endpoint = await supervisor.ensure_running()
        process_id = supervisor.process_id
        assert process_id is not None
        async with Client(endpoint, session).post(messages=_STORY, max_tokens=400, stream=True) as response:
            await response.content.readline()
            began_s = time.monotonic()
            await supervisor.close()
    assert not _is_alive(process_id)
    assert time.monotonic() - began_s < EmbeddedModelConfig().stop_grace_s


_PARENT = """
import asyncio
from antiphon.embedded.model_config import EmbeddedModelConfig
from antiphon.embedded.model_supervisor import EmbeddedModelSupervisor
async def main():
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig(parallel_slots=1, context_tokens=512))
    await supervisor.ensure_running()
    print(supervisor.process_id, flush=True)
    await asyncio.sleep(50)
asyncio.run(main())
"""


async def test_it_dies_with_its_parent() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PARENT,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert parent.stdout is not None
    process_id = int(await parent.stdout.readline())
    assert _is_alive(process_id)
    _, folder = _command_line_and_folder(process_id)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(_SOON_S):
        while _is_alive(process_id):
            await asyncio.sleep(0.02)
    assert not folder.exists()


async def test_weights_that_cannot_be_loaded_are_a_typed_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF is not enough")
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig(gguf_path=broken))
    with pytest.raises(EmbeddedModelUnavailable, match=r"broken\.gguf"):
        await supervisor.ensure_running()
    await supervisor.close()
