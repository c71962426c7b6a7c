"""Every call carries what the client promises, has a deadline where it should, and both faces offer the same."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.api.model.v1 import model_service_pb2 as model_pb
from antiphon_client import AsyncClient, Client, client_version, contract
from tests.support.tracing import untraced_threads
from tests.unit.client.fake_server import FakeServer, Hang, model

if TYPE_CHECKING:
    from collections.abc import Callable


async def test_calls_say_who_makes_them_and_carry_their_metadata(server: FakeServer) -> None:
    async with AsyncClient(server.target, api_key="k1", metadata={"X-Team": "blue"}) as client:
        await client.completions.create(model="m", messages="Hi", metadata={"X-Call": "7"})
    metadata = server.calls[0].metadata
    expected = {"x-antiphon-client": f"python/{client_version()}", "authorization": "Bearer k1", "x-team": "blue", "x-call": "7"}
    assert expected == {key: metadata[key] for key in expected}


async def test_target_and_key_come_from_the_environment(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_TARGET", server.target)
    monkeypatch.setenv("ANTIPHON_API_KEY", "k2")
    async with AsyncClient() as client:
        await client.health.check()
    assert "Bearer k2" == server.calls[0].metadata["authorization"]


@pytest.mark.parametrize(("timeout_s", "least", "most"), [("default", 100, 120), (7, 5, 7), (None, 1e6, None)])
async def test_unary_calls_have_a_finite_deadline_by_default(
    server: FakeServer, client: AsyncClient, timeout_s: Any, least: float, most: float | None
) -> None:
    parameters: Any = {} if timeout_s == "default" else {"timeout_s": timeout_s}
    await client.models.get("a/b", **parameters)
    remaining = server.calls[0].time_remaining_s
    assert remaining is None or remaining > least
    if most is not None:
        assert remaining is not None
        assert remaining < most + 1  # the runtime rounds up


@pytest.mark.parametrize("face", ["async", "sync"])
async def test_listing_models_goes_through_all_pages(server: FakeServer, client: AsyncClient, blocking: Client, face: str) -> None:
    server.will(
        "ListModels",
        model_pb.ListModelsResponse(models=[model("a/1"), model("a/2")], next_page_token="t"),
        model_pb.ListModelsResponse(models=[model("a/3")]),
    )
    if face == "async":
        names = [one.name async for one in client.models.list(provider="a", page_size=2)]
    else:
        names = await asyncio.to_thread(lambda: [one.name for one in blocking.models.list(provider="a", page_size=2)])
    assert ["a/1", "a/2", "a/3"] == names
    assert [("a", 2, ""), ("a", 2, "t")] == [(asked.provider, asked.page_size, asked.page_token) for asked in server.requests("ListModels")]


async def test_components_are_named_in_the_request(server: FakeServer, client: AsyncClient) -> None:
    report = await client.health.check(["provider/local"])
    assert ["provider/local"] == server.requests("CheckHealth")[0].components
    assert ["provider/local"] == [component.name for component in report.components]


async def test_raw_calls_any_method_by_its_messages(server: FakeServer, client: AsyncClient) -> None:
    path = "/antiphon.api.model.v1.ModelService/GetModel"
    response = await client.raw.unary(path, contract.model.GetModelRequest(name="a/b"), contract.model.GetModelResponse)
    assert response.model is not None
    assert "a/b" == response.model.name
    watch = client.raw.stream(
        "/antiphon.api.health.v1.HealthService/WatchHealth", contract.health.WatchHealthRequest(), contract.health.WatchHealthResponse
    )
    async with watch:
        assert await watch.receive() is not None
    channel: Any = client.raw.channel
    assert isinstance(await channel.unary_unary(path)(bytes(contract.model.GetModelRequest(name="x"))), bytes)
    assert 3 == len(server.calls)


def test_raw_calls_synchronously(server: FakeServer, blocking: Client) -> None:
    watch = blocking.raw.stream(
        "/antiphon.api.health.v1.HealthService/WatchHealth", contract.health.WatchHealthRequest(), contract.health.WatchHealthResponse
    )
    for response in watch:
        assert response.report is not None
        break
    path = "/antiphon.api.health.v1.HealthService/CheckHealth"
    assert blocking.raw.unary(path, contract.health.CheckHealthRequest(), contract.health.CheckHealthResponse).report is not None
    assert blocking.raw.channel is blocking.raw.channel
    assert server.cancelled.wait(5)


def test_a_client_outlives_its_loop_and_says_when_two_use_it(server: FakeServer) -> None:
    client = AsyncClient(server.target)

    async def use() -> None:
        await client.health.check()

    async def use_elsewhere() -> None:
        await use()
        with pytest.raises(RuntimeError, match="belongs to the event loop"):
            await asyncio.to_thread(asyncio.run, use())
        await client.close()

    asyncio.run(use())
    asyncio.run(use_elsewhere())


def _public(face: Any) -> dict[str, Callable[..., Any]]:
    return {name: member for name, member in inspect.getmembers(face.__class__) if not name.startswith("_") and callable(member)}


@pytest.mark.parametrize("attribute", ["completions", "models", "health", "raw"])
def test_both_faces_have_the_same_names_and_parameters(client: AsyncClient, blocking: Client, attribute: str) -> None:
    faces: list[Any] = [getattr(face, attribute) for face in (client, blocking)]
    asynchronous, synchronous = (_public(face) for face in faces)
    assert {name: str(inspect.signature(method).parameters) for name, method in asynchronous.items()} == {
        name: str(inspect.signature(method).parameters) for name, method in synchronous.items()
    }


def test_both_clients_and_streams_have_the_same_names(client: AsyncClient, blocking: Client) -> None:
    assert inspect.signature(AsyncClient).parameters == inspect.signature(Client).parameters
    streams = [face.completions.stream(model="m", messages="Hi") for face in (client, blocking)]
    assert _public(streams[0]).keys() == _public(streams[1]).keys()


def test_threads_share_a_synchronous_client(server: FakeServer, blocking: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(blocking.completions.stream(model="m", messages="Hi").final) for _ in range(40)]
        answers = [future.result().text for future in asked]
    assert ["Hello there"] * 40 == answers
    assert 40 == len(server.calls)


@pytest.mark.parametrize("streaming", [False, True])
def test_ctrl_c_ends_a_synchronous_call(server: FakeServer, blocking: Client, streaming: bool) -> None:
    server.will("StreamComplete" if streaming else "Complete", [Hang()] if streaming else Hang())

    def interrupt() -> None:
        while not server.calls:
            time.sleep(0.01)
        time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    call = (
        blocking.completions.stream(model="m", messages="Hi").final
        if streaming
        else partial(blocking.completions.create, model="m", messages="Hi")
    )
    with untraced_threads():
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            call()
        thread.join()
    assert server.cancelled.wait(5)
    assert "Hello there" == blocking.completions.create(model="m", messages="Hi").text


FORKING = """
import os, sys
from antiphon_client import Client

client = Client(sys.argv[1])
client.health.check()
child = os.fork()
text = client.completions.create(model="m", messages="Hi", timeout_s=20).text
client.close()
if not child:
    os._exit(0 if text == "Hello there" else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) or text != "Hello there")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_client_made_before_fork_works_on_both_sides(server: FakeServer) -> None:
    # Not in this process, which has the fake server's threads.
    finished = subprocess.run([sys.executable, "-c", FORKING, server.target], timeout=50, check=False)
    assert 0 == finished.returncode
    assert 3 == len(server.calls)
    # Two processes on one connection would garble it.
    assert 2 == len({call.peer for call in server.calls})
