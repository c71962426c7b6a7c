"""Several workers are one server: one dies and the others serve on, all are replaced without a failed call, and none is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import urllib.request
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from antiphon_client import AsyncClient
from tests.support.real_server import RealServer, real_server
from tests.support.sdk_load import Tally, paced_simulator, sdk_load
from tests.support.worker_processes import children, descendants, gone, is_alive, serving, serving_beside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[RealServer]:
    """Two workers before a simulated provider."""
    async with paced_simulator() as simulator:
        settings = {
            "server": {"workers": 2},
            "log": {"level": "info", "format": "json"},
            "providers": {"sim": {"type": "openai", "base_url": simulator.base_url, "api_key": "test-key"}},
            "aliases": {},
        }
        running = real_server(tmp_path, yaml.safe_dump(settings))
        started = await asyncio.to_thread(running.__enter__)
        try:
            yield started
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


async def metrics(server: RealServer) -> dict[str, float]:
    """Asks any of the workers for the metrics of all."""

    def ask() -> str:
        with urllib.request.urlopen(f"{server.http_url}/metrics", timeout=10) as response:  # noqa: S310  # our own second port
            return response.read().decode()

    lines = [line for line in (await asyncio.to_thread(ask)).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def calls(tally: Tally, number: int) -> None:
    """Waits until so many more calls have gone well."""
    until = tally.unary + number
    async with asyncio.timeout(20):
        while tally.unary < until:
            await asyncio.sleep(0.02)


async def rolled(server: RealServer) -> None:
    """Replaces the workers and waits until the old ones are gone."""
    before = serving(server)
    os.kill(server.pid, signal.SIGHUP)
    await serving_beside(server, before, 2)
    await gone(before)


@asynccontextmanager
async def readiness(server: RealServer) -> AsyncGenerator[set[bytes]]:
    """Asks again and again, each time on a new connection, whether the server is ready; gives the status lines that came."""
    told: set[bytes] = set()
    host, _, port = server.http_url.removeprefix("http://").partition(":")

    async def ask() -> None:
        while True:
            # A connection that waits to be accepted is reset when its listener goes; whoever probes connects again.
            with contextlib.suppress(ConnectionResetError):
                reader, writer = await asyncio.open_connection(host, int(port))
                try:
                    writer.write(f"GET /ready HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                    told.add((await reader.readline()).strip())
                finally:
                    writer.close()
            await asyncio.sleep(0.05)

    asking = asyncio.create_task(ask())
    try:
        yield told
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    told.discard(b"")


async def test_both_serve_and_one_answers_for_both(server: RealServer) -> None:
    assert 2 == len(serving(server))
    async with sdk_load(server.target, unary=8, streams=0) as tally:
        await calls(tally, 16)
    shown = await metrics(server)
    counted = {name: value for name, value in shown.items() if name.startswith("antiphon_calls_total{")}
    assert tally.unary == sum(counted.values())
    assert {"0", "1"} == {name.partition('worker="')[2][0] for name in counted}
    assert (1, 1) == (shown['antiphon_workers{worker="0"}'], shown['antiphon_workers{worker="1"}'])


async def test_the_supervisor_imports_nothing_that_serves(server: RealServer) -> None:
    mapped = await asyncio.to_thread(Path(f"/proc/{server.pid}/maps").read_text, encoding="utf-8")
    assert [] == [name for name in ("grpc/_cython", "aiohttp", "uvloop") if name in mapped]


async def test_a_worker_that_hangs_is_left_out_of_the_metrics(server: RealServer) -> None:
    stopped, _ = serving(server)
    os.kill(stopped, signal.SIGSTOP)
    try:
        # Some of the connections lead to the one that hangs; they end with it, below.
        asked = [asyncio.create_task(metrics(server)) for _ in range(8)]
        (first, *_), _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        shown = await first
    finally:
        os.kill(stopped, signal.SIGKILL)
    await asyncio.gather(*asked, return_exceptions=True)
    number = next(number for number in "01" if shown[f'antiphon_worker_scrape_failures_total{{worker="{number}"}}'])
    assert [] == [name for name in shown if name.startswith("process_") and f'worker="{number}"' in name]
    assert any(name.startswith("process_") for name in shown)


async def test_one_is_killed_and_the_other_serves_on_until_it_is_back(server: RealServer) -> None:
    before = serving(server)
    async with sdk_load(server.target, unary=4, streams=2) as tally:
        await calls(tally, 4)
        os.kill(before[0], signal.SIGKILL)
        (back,) = await serving_beside(server, before)
        await calls(tally, 8)
        assert [before[1], back] == sorted(serving(server))
    # What the dead one was working on is lost, and nothing else: each caller waits for one call at a time.
    assert len(tally.failed_unary) + len(tally.broken_streams) <= 6
    shown = await metrics(server)
    assert 1 == shown['antiphon_worker_restarts_total{worker="0"}'] + shown['antiphon_worker_restarts_total{worker="1"}']


async def test_one_that_hangs_is_replaced(server: RealServer) -> None:
    stopped, other = serving(server)
    os.kill(stopped, signal.SIGSTOP)
    (back,) = await serving_beside(server, (stopped, other))
    await gone((stopped,))
    assert sorted((other, back)) == serving(server)
    async with sdk_load(server.target, unary=4, streams=0) as tally:
        await calls(tally, 8)
    assert [] == tally.failed_unary


async def test_all_are_replaced_without_a_failed_call(server: RealServer) -> None:
    async with sdk_load(server.target, unary=3, streams=3, pause_s=0.1) as tally, readiness(server) as told:
        for _ in range(2):
            await rolled(server)
    assert ([], []) == (tally.failed_unary, tally.broken_streams)
    # A probe never meets the worker that drains.
    assert {b"HTTP/1.1 200 OK"} == told
    assert tally.unary > 3
    assert tally.streams > 3


async def test_signals_that_come_during_a_roll_ask_for_one_more(server: RealServer) -> None:
    for _ in range(5):
        os.kill(server.pid, signal.SIGHUP)
        await asyncio.sleep(0.05)
    async with asyncio.timeout(40):
        while server.log.read_text(encoding="utf-8").count('"event":"workers replaced"') < 2:
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.3)
    assert 2 == server.log.read_text(encoding="utf-8").count('"event":"replacing the workers"')


async def test_a_configuration_that_cannot_be_used_changes_nothing(server: RealServer) -> None:
    before = serving(server)
    good = server.config.read_text(encoding="utf-8")
    server.config.write_text(good.replace("log:", "lag:"), encoding="utf-8")
    os.kill(server.pid, signal.SIGHUP)
    async with asyncio.timeout(20):
        while "configuration refused" not in server.log.read_text(encoding="utf-8"):
            await asyncio.sleep(0.02)
    assert "lag" in server.log.read_text(encoding="utf-8")
    # One that dies now comes back with the configuration that is in force, whatever the file says.
    os.kill(before[0], signal.SIGKILL)
    (back,) = await serving_beside(server, before)
    assert before[1:] == [pid for pid in serving(server) if pid != back]
    server.config.write_text(good.replace("workers: 2", "workers: 3"), encoding="utf-8")
    os.kill(server.pid, signal.SIGHUP)
    await serving_beside(server, [*before, back], 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_drain_at_once(server: RealServer, number: signal.Signals) -> None:
    workers = children(server.pid)
    async with sdk_load(server.target, unary=0, streams=4) as tally:
        await asyncio.sleep(0.3)
        os.kill(server.pid, number)
        await gone(workers)
        streams = tally.streams
    assert 4 <= streams
    async with asyncio.timeout(10):
        while is_alive(server.pid):
            await asyncio.sleep(0.02)


async def test_nothing_outlives_a_supervisor_that_was_killed(server: RealServer) -> None:
    below = descendants(server.pid)
    async with sdk_load(server.target, unary=0, streams=4) as tally:
        await asyncio.sleep(0.3)
        os.kill(server.pid, signal.SIGKILL)
        await gone(below)
        # The workers drained: what they were working on came to its end.
        assert 4 <= tally.streams
    assert 3 == len(below)


async def test_they_share_one_embedded_model(tmp_path: Path) -> None:
    with real_server(tmp_path, "server: {workers: 2}\nlog: {level: warning}\n") as server:
        before = serving(server)
        options = [("grpc.use_local_subchannel_pool", 1)]
        for _ in range(8):
            async with AsyncClient(server.target, channel_options=options) as client:
                await client.completions.create(model="default", messages="Hi", max_output_tokens=1)
        (model,) = [pid for pid in descendants(server.pid) if _is_model(pid)]
        asked = {name for name in await metrics(server) if name.startswith("antiphon_calls_total{")}
        os.kill(before[0], signal.SIGKILL)
        await serving_beside(server, before)
        assert is_alive(model)
        os.kill(server.pid, signal.SIGKILL)
        await gone([model, *descendants(server.pid)])
    # By chance all eight connections can lead to one worker: once in 128 runs, and then the rest still holds.
    assert asked


def _is_model(pid: int) -> bool:
    return "model_server" in Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
