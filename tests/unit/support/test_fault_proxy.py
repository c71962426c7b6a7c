"""The fault proxy passes everything until it is told to break something, and then breaks just that."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@asynccontextmanager
async def echoing() -> AsyncGenerator[FaultProxy, None]:
    """Runs a server that sends back what it gets, and a proxy before it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def exchange(proxy: FaultProxy, data: bytes) -> bytes:
    """Sends and returns what comes back until the end or the loss of the connection."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    got = b""
    try:
        writer.write(data)
        writer.write_eof()
        while piece := await asyncio.wait_for(reader.read(65_536), 5):
            got += piece
    finally:
        writer.close()
    return got


async def test_everything_passes() -> None:
    data = bytes(range(256)) * 4000
    async with echoing() as proxy:
        assert data == await exchange(proxy, data)
        assert (1, len(data)) == (proxy.accepted, len(data))


async def test_an_answer_is_cut_after_so_many_bytes() -> None:
    async with echoing() as proxy:
        proxy.cut_after_bytes = 1000
        assert 1000 == len(await exchange(proxy, b"x" * 50_000))


async def test_an_answer_is_reset_after_so_many_bytes() -> None:
    async with echoing() as proxy:
        proxy.reset_after_bytes = 1000
        with pytest.raises(ConnectionResetError):
            await exchange(proxy, b"x" * 50_000)


@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_open_connections_are_ended(kind: str) -> None:
    async with echoing() as proxy:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"x")
        assert b"x" == await reader.readexactly(1)
        getattr(proxy, kind)()
        if kind == "cut":
            assert b"" == await asyncio.wait_for(reader.read(), 5)
        else:
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert b"again" == await exchange(proxy, b"again")


async def test_what_is_stalled_comes_when_it_resumes() -> None:
    async with echoing() as proxy:
        proxy.stall()
        asking = asyncio.create_task(exchange(proxy, b"x"))
        await asyncio.sleep(0.05)
        assert not asking.done()
        proxy.resume()
        assert b"x" == await asking


async def test_each_piece_is_delayed() -> None:
    async with echoing() as proxy:
        proxy.delay_s = 0.05
        begun_s = time.monotonic()
        assert b"x" == await exchange(proxy, b"x")
        assert time.monotonic() - begun_s >= 0.1  # there and back


async def test_connections_are_refused() -> None:
    async with echoing() as proxy:
        proxy.refusing = True
        assert b"" == await exchange(proxy, b"")
        assert 1 == proxy.accepted


async def test_nobody_behind_it_is_an_end() -> None:
    async with FaultProxy("127.0.0.1", 1) as proxy:
        assert b"" == await exchange(proxy, b"")
