"""A TCP proxy that breaks connections in the ways networks do: cut, reset, stalled, slow, refused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_PIECE_BYTES = 16_384
# SO_LINGER on and 0 s: closing sends RST instead of FIN.
_ABORTIVE = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class Link:
    """One proxied connection.

    Attributes:
        client: The writer to the client.
        server: The writer to the server; None until it is connected.
        to_client_bytes: What was forwarded to the client.
        to_server_bytes: What was forwarded to the server.
    """

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    to_client_bytes: int = 0
    to_server_bytes: int = 0
    pumps: list[asyncio.Task[None]] = field(default_factory=list["asyncio.Task[None]"])


class FaultProxy:
    """Stands between a client and a server; both ends of every connection are held here and can be broken.

    Attributes:
        host: Where it listens.
        port: Where it listens; set once entered.
        delay_s: What each piece waits before it is forwarded, in seconds.
        cut_after_bytes: How much of the server's answer passes on one connection before both ends are closed; None means all.
        reset_after_bytes: The same, by RST.
        refusing: Whether new connections are closed at once.
        accepted: How many connections were ever made.
        links: The connections open now.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.delay_s = 0.0
        self.cut_after_bytes: int | None = None
        self.reset_after_bytes: int | None = None
        self.refusing = False
        self.accepted = 0
        self.links: set[Link] = set()
        self._target = (target_host, target_port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where it listens, as `host:port`."""
        return f"{self.host}:{self.port}"

    def stall(self) -> None:
        """Forwards nothing from now on, in either direction; the connections stay open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Forwards again, what waited first."""
        self._flowing.set()

    def cut(self) -> None:
        """Closes every open connection at both ends."""
        for link in tuple(self.links):
            _end(link, abortive=False)

    def reset(self) -> None:
        """Resets every open connection at both ends."""
        for link in tuple(self.links):
            _end(link, abortive=True)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        link = Link(writer)
        self.links.add(link)
        try:
            await self._serve(link, reader)
        finally:
            self.links.discard(link)
            _end(link, abortive=False)

    async def _serve(self, link: Link, from_client: asyncio.StreamReader) -> None:
        if self.refusing:
            return
        try:
            from_server, link.server = await asyncio.open_connection(*self._target)
        except OSError:
            return
        link.pumps = [
            asyncio.create_task(self._pump(link, from_client, link.server, to_client=False)),
            asyncio.create_task(self._pump(link, from_server, link.client, to_client=True)),
        ]
        try:
            await asyncio.wait(link.pumps)
        finally:
            for pump in link.pumps:
                pump.cancel()
            await asyncio.gather(*link.pumps, return_exceptions=True)

    async def _pump(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                if to_client:
                    piece, ends, abortive = self._allowed(link, piece)
                    link.to_client_bytes += len(piece)
                    writer.write(piece)
                    if ends:
                        with contextlib.suppress(OSError):
                            await writer.drain()
                        _end(link, abortive=abortive)
                        return
                else:
                    link.to_server_bytes += len(piece)
                    writer.write(piece)
                await writer.drain()
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()

    def _allowed(self, link: Link, piece: bytes) -> tuple[bytes, bool, bool]:
        """Returns what of a piece may pass, whether the connection ends behind it, and whether by RST."""
        for limit, abortive in ((self.cut_after_bytes, False), (self.reset_after_bytes, True)):
            if limit is not None and link.to_client_bytes + len(piece) >= limit:
                return piece[: max(0, limit - link.to_client_bytes)], True, abortive
        return piece, False, False


def _end(link: Link, *, abortive: bool) -> None:
    for writer in (link.client, link.server):
        if writer is None or writer.is_closing():
            continue
        if abortive:
            sock = writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORTIVE)
            writer.transport.abort()
        else:
            writer.close()
