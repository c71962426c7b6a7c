"""The gRPC server: mounts the services, listens, drains."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc

from antiphon.calls.in_flight import InFlight
from antiphon.rpc.binding import ContractHandlers
from antiphon.rpc.credentials import server_credentials
from antiphon.rpc.standard import StandardServices

if TYPE_CHECKING:
    from antiphon.calls.methods import ContractMethods
    from antiphon.config import Config
    from antiphon.health.monitor import HealthMonitor
    from antiphon.tls import CertificateWatch

# The runtime's own limit stands this far above ours, as a share of it, so that a request a little too long meets our typed error. It stands no higher because
# the runtime holds what has come of a message until all of it has: each call of a client that never sends the end costs up to so much memory.
_TRANSPORT_ROOM = 1 / 16
# Clients may ping to keep their connections alive; a client that pings more often, by more than so many strikes, is sent away.
_LEAST_PING_INTERVAL_S = 5.0
_PING_STRIKES = 5
# One connection cannot hold more calls than the process works on, and room for health beside them; what is beyond waits at the client.
_STREAMS_BESIDE = 100
_METADATA_BYTES = 2**14
# How long standard watchers may take to be told that the server drains, and calls to end once they are cancelled.
_TELLING_S = 0.1
_ENDING_S = 2.0


class RpcServer:
    """The gRPC port."""

    def __init__(
        self,
        config: Config,
        methods: ContractMethods,
        monitor: HealthMonitor,
        *,
        shares_port: bool = False,
        certificates: CertificateWatch | None = None,
    ) -> None:
        self._config = config.server
        self._monitor = monitor
        self._calls = methods.in_flight
        self._standard_calls = InFlight()
        self._certificates = certificates
        named = bool(config.auth.certificates)
        self._standard = StandardServices(methods, self._standard_calls, config.auth.public, certificates=named)
        self._server = grpc.aio.server(options=_options(config, shares_port=shares_port))
        # The contract's handlers refuse what nobody knows, so they come last.
        self._server.add_generic_rpc_handlers((self._standard.handlers, ContractHandlers(methods, certificates=named)))
        self.port = self._config.grpc_port

    async def start(self) -> None:
        """Binds and serves.

        Raises:
            OSError: The port cannot be had.
        """
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        try:
            self.port = self._bind(f"{host}:{self._config.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen on {host}:{self._config.grpc_port}") from error
        await self._server.start()
        await self._standard.say_serving()

    def _bind(self, address: str) -> int:
        if self._certificates is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, server_credentials(self._certificates))

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


def _options(settings: Config, *, shares_port: bool) -> list[tuple[str, int]]:
    """Returns how the runtime is to treat connections."""
    config = settings.server
    options = [
        ("grpc.max_receive_message_length", min(config.max_request_bytes + int(config.max_request_bytes * _TRANSPORT_ROOM), 2**31 - 1)),
        ("grpc.max_send_message_length", -1),
        # The runtime's own limit; below it the runtime refuses some calls at random unless told.
        ("grpc.max_metadata_size", _METADATA_BYTES),
        ("grpc.so_reuseport", int(shares_port)),
        # A connection without calls is pinged, too: its client may be gone without a word.
        ("grpc.keepalive_time_ms", round(config.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(config.keepalive_timeout_s * 1000)),
        # What the runtime heeds once the ping is sent; a minute unless told.
        ("grpc.http2.ping_timeout_ms", round(config.keepalive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", round(_LEAST_PING_INTERVAL_S * 1000)),
        ("grpc.http2.max_ping_strikes", _PING_STRIKES),
        ("grpc.max_concurrent_streams", settings.limits.concurrent_calls + _STREAMS_BESIDE),
    ]
    if config.max_connection_age_s is not None:
        options += [
            ("grpc.max_connection_age_ms", round(config.max_connection_age_s * 1000)),
            ("grpc.max_connection_age_grace_ms", round(config.max_connection_age_grace_s * 1000)),
        ]
    return options
