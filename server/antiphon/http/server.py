"""Serves the second port on the server's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from functools import partial
from typing import TYPE_CHECKING

import uvicorn

from antiphon.http.connections import Connection
from antiphon.http.entrance import HEAD_BYTES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator

    from antiphon.http.asgi import Application

_KEEP_ALIVE_S = 30


class _Quiet(uvicorn.Server):
    """uvicorn without its signal handlers: the composition root stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class HttpServer:
    """The second port."""

    def __init__(
        self,
        site: Application,
        host: str,
        port: int,
        *,
        slow_reader_s: float = 30.0,
        shares_port: bool = False,
        ssl_context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Makes the server; nothing is open yet.

        Args:
            site: What it serves.
            host: Where it listens.
            port: At which port; 0 means any free one.
            slow_reader_s: How long a stream's reader may take nothing; whoever takes nothing of any answer is let go some time later.
            shares_port: Whether other processes listen at the same one.
            ssl_context: Gives, once it is started, the server's certificate and whom it asks for theirs; None means plaintext.
        """
        config = uvicorn.Config(
            site,  # pyright: ignore[reportArgumentType]  # the library's own types for ASGI
            http=partial(Connection, slow_reader_s=slow_reader_s),  # pyright: ignore[reportArgumentType]  # the library calls it and asks for no class
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # Whoever stands in front of the server says nothing about who calls.
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=2,
        )
        config.load()
        self._ssl_context = ssl_context
        # Its warnings are of clients that speak no HTTP or left: theirs to know, and anybody's to cause.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._uvicorn = config
        self._server = _Quiet(config)
        self._address = (host, port)
        self._shares_port = shares_port
        self._task: asyncio.Task[None] | None = None
        self.port = port

    async def start(self) -> None:
        """Binds and serves.

        Raises:
            OSError: The port cannot be had.
        """
        if self._ssl_context is not None:
            self._uvicorn.ssl = self._ssl_context()
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, reuse_port=self._shares_port)
        self.port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http-server")
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)

    def leave(self) -> None:
        """Takes no new connections, and closes each one that is there once it is idle: others serve the port, and none shall be told that this one drains."""
        for listener in self._server.servers:
            listener.close()
        for connection in list(self._server.server_state.connections):
            connection.shutdown()

    async def close(self) -> None:
        """Ends it, open connections after 2 s at most."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
