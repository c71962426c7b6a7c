"""A provider that ends its connection while a merge window waits has said all that it said."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from antiphon.egress.configured import Endpoint, EndpointSettings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PIECES = (b"data: a\n\n", b"data: b\n\n", b"data: [DONE]\n\n")


@asynccontextmanager
async def provider(*, chunked: bool, last_gap_s: float) -> AsyncGenerator[str, None]:
    """Sends the pieces 10 ms apart, the last after its gap, and closes the connection at once."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Connection: close\r\n\r\n")
        for piece in PIECES:
            await asyncio.sleep(last_gap_s if piece is PIECES[-1] else 0.01)
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        writer.write(b"0\r\n\r\n" if chunked else b"")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("last_gap_s", [0.0, 0.01, 0.08])
async def test_nothing_is_lost(chunked: bool, last_gap_s: float) -> None:
    async with provider(chunked=chunked, last_gap_s=last_gap_s) as url:
        endpoint = Endpoint(EndpointSettings(base_url=url))
        response = await endpoint.get("/")
        gathered = b""
        while chunk := await response.next_chunk(0.05):
            gathered += chunk
        response.close()
        await endpoint.close()
    assert b"".join(PIECES) == gathered
