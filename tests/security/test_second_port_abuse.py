"""A client of the second port that breaks HTTP, or takes no answers, harms nobody: neither those behind the same proxy nor the server's memory."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.http import connections
from tests.support.scripted import ScriptedModel, scripted_kinds
from tests.support.serving import ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

CALL = b"POST /antiphon.api.model.v1.ModelService/ListModels HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
ASKED_BEHIND = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[ServerUnderTest]:
    settings = {"providers": {"scripted": {"type": "scripted"}}, "limits": {"slow_reader_s": 0.3}}
    async with serving(tmp_path, settings, scripted_kinds(ScriptedModel())) as running:
        yield running


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"Content-Length: +2\r\n\r\n{}",
        b"Content-Length: 0x2\r\n\r\n{}",
        b"Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
async def test_a_request_that_could_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered(
    server: ServerUnderTest, sent: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.application.http.port)
    writer.write(CALL + sent + ASKED_BEHIND)
    async with asyncio.timeout(10):
        answered = await reader.read()
    writer.close()
    assert (True, 1) == (answered.startswith(b"HTTP/1.1 400 "), answered.count(b"HTTP/1.1 "))


async def test_a_client_that_takes_no_answers_is_let_go(server: ServerUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_BEYOND_READERS_S", 0.2)
    state: Any = server.application.http._server.server_state
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", server.application.http.port))
        async with asyncio.timeout(20):
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await loop.sock_sendall(client, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500_000)
    async with asyncio.timeout(5):
        while state.connections or state.tasks:
            await asyncio.sleep(0.01)
