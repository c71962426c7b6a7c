"""What is sent to the whole group of processes ends no call: the server drains, and then ends its model."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from antiphon_client import AsyncClient, UnavailableError
from tests.support.real_server import real_server


def descendants(pid: int) -> list[int]:
    """Returns the processes below one, by /proc."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = [int(word) for word in (task / "children").read_text(encoding="ascii").split()]
        found += children + [one for child in children for one in descendants(child)]
    return found


def alive(pids: list[int]) -> list[int]:
    """Returns those that are still there."""
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stream_outlives_the_signal_and_nothing_stays_behind(tmp_path: Path, number: signal.Signals) -> None:
    with real_server(tmp_path) as server:
        async with AsyncClient(server.target) as client:
            stream = client.completions.stream(model="default", messages="Tell me a story.", temperature=0, max_output_tokens=40)
            received: list[str] = []
            children: list[int] = []
            async for text in stream.text_stream():
                if not received:
                    children = descendants(server.pid)
                    for pid in (server.pid, *children):
                        os.kill(pid, number)
                received.append(text)
            completion = await stream.final()
        assert "".join(received) == completion.text
        assert children
        async with asyncio.timeout(10):
            while alive(children):
                await asyncio.sleep(0.05)


async def test_a_second_signal_ends_what_the_first_one_waits_for(tmp_path: Path) -> None:
    with real_server(tmp_path, "log: {level: warning}\nserver: {drain_grace_s: 60}\n") as server:
        async with AsyncClient(server.target) as client:
            stream = client.completions.stream(model="default", messages="Tell me a long story.", max_output_tokens=1000)
            assert await stream.receive() is not None
            for _ in range(2):
                os.kill(server.pid, signal.SIGTERM)
                await asyncio.sleep(0.1)
            with pytest.raises(UnavailableError) as caught:
                await stream.final()
    assert "SERVER_DRAINING" == caught.value.reason
