"""A client of the second port that leaves, wherever its call is, closes the provider's connection."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.simulators.openai import Answer, Delivery, OpenAISimulator, Silence
from tests.support.second_port import envelope
from tests.support.serving import COMPLETION, serving

if TYPE_CHECKING:
    from pathlib import Path

JSON = b'{"spec":{"model":"sim/sim-1","messages":[{"role":"ROLE_USER","parts":[{"text":"Go on."}]}]}}'


@pytest.mark.parametrize("kind", ["unary", "first token", "mid-stream"])
async def test_the_providers_connection_closes(tmp_path: Path, kind: str) -> None:
    method, content_type, body = "StreamComplete", "application/connect+json", envelope(JSON)
    if kind == "unary":
        method, content_type, body = "Complete", "application/json", JSON
    async with OpenAISimulator(api_key="key") as simulator:
        settings = {"providers": {"sim": {"type": "openai", "base_url": simulator.base_url, "api_key": "key"}}, "aliases": {}}
        simulator.script(Answer(tokens=("a", "b"), delivery=Delivery(stall_after=2)) if kind == "mid-stream" else Silence())
        async with serving(tmp_path, settings) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.application.http.port)
            head = f"POST {COMPLETION}/{method} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await simulator.received(1)
            if kind == "mid-stream":
                await asyncio.wait_for(reader.readuntil(b'"partDelta"'), 10)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            await simulator.disconnected(timeout_s=10)
            async with asyncio.timeout(10):
                while len(server.application.rpc._calls):
                    await asyncio.sleep(0.01)
