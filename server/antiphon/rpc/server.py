"""The gRPC server: mounts the services, listens, drains."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from antiphon.calls.in_flight import InFlight
from antiphon.rpc.binding import ContractHandlers
from antiphon.rpc.standard import StandardServices

if TYPE_CHECKING:
    from antiphon.calls.methods import ContractMethods
    from antiphon.config import Config
    from antiphon.health.monitor import HealthMonitor

# The runtime's own limit stands this far above ours, so that an oversized request meets our typed error first. It stands no higher because the runtime
# holds what has come of a message until all of it has: each call of a client that never sends the end costs up to so much memory.
_TRANSPORT_ROOM = 4
# How long standard watchers may take to be told that the server drains, and calls to end once they are cancelled.
_TELLING_S = 0.1
_ENDING_S = 2.0


class RpcServer:
    """The gRPC port."""

    def __init__(self, config: Config, methods: ContractMethods, monitor: HealthMonitor) -> None:
        self._config = config.server
        self._monitor = monitor
        self._calls = methods.in_flight
        self._standard_calls = InFlight()
        self._standard = StandardServices(methods.services, self._standard_calls)
        room = self._config.max_request_bytes * _TRANSPORT_ROOM
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", min(room, 2**31 - 1)),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ]
        )
        # The contract's handlers refuse what nobody knows, so they come last.
        self._server.add_generic_rpc_handlers((self._standard.handlers, ContractHandlers(methods)))
        self.port = self._config.grpc_port

    async def start(self) -> None:
        """Binds and serves.

        Raises:
            OSError: The port cannot be had.
        """
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        try:
            self.port = self._server.add_insecure_port(f"{host}:{self._config.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on {host}:{self._config.grpc_port}") from error
        await self._server.start()
        await self._standard.say_serving()

    async def drain(self) -> None:
        """Stops serving: says so, lets calls in progress finish within the grace, cancels the rest, waits for every task."""
        grace_s = self._config.drain_grace_s
        self._monitor.begin_draining()
        telling = asyncio.create_task(self._standard.say_draining())
        await asyncio.wait((telling,), timeout=_TELLING_S)
        # Sends GOAWAY now, so that clients take their next calls elsewhere; ends when every call has. Its own grace is longer than ours, so that calls
        # end with our typed status and not with the runtime's.
        stopping = asyncio.create_task(self._server.stop(grace_s + _ENDING_S))
        await self._calls.drain(grace_s)
        await self._calls.cancel()
        # Watches have no end of their own; they get the time to write what they were told.
        await self._standard_calls.drain(_TELLING_S)
        await self._standard_calls.cancel()
        telling.cancel()
        await stopping

    async def hurry(self) -> None:
        """Ends the calls in progress now, with the status of a server that drains; for a drain that nobody waits for any more."""
        await self._calls.cancel()
