"""Serves the second port on the server's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.applications import Starlette


class _Quiet(uvicorn.Server):
    """uvicorn without its signal handlers: the composition root stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class HttpServer:
    """The second port."""

    def __init__(self, site: Starlette, host: str, port: int) -> None:
        self._server = _Quiet(
            uvicorn.Config(site, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2, server_header=False)
        )
        self._address = (host, port)
        self._task: asyncio.Task[None] | None = None
        self.port = port

    async def start(self) -> None:
        """Binds and serves.

        Raises:
            OSError: The port cannot be had.
        """
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, reuse_port=False)
        self.port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http-server")
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Ends it, open connections after 2 s at most."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
