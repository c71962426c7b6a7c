"""The asynchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from antiphon_client.aio.services import AsyncCompletions, AsyncHealth, AsyncModels
from antiphon_client.aio.streams import AsyncRawStream
from antiphon_client.aio.transport import Transport
from antiphon_client.call_options import DEFAULT_RETRIES, DEFAULT_TIMEOUT_S, CallDefaults, checked_limits
from antiphon_client.connection import Tls, client_version, connection_to
from antiphon_client.methods import Method, ResponseT
from antiphon_client.spans import spans_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

    import betterproto2
    import grpc.aio
    from opentelemetry.trace import TracerProvider

    from antiphon_client.parameters import CallParameters


class AsyncClient:
    """A client of an Antiphon server, for asyncio. It connects at its first call and belongs to the event loop of that call.

    Args:
        target: `host:port`, or any gRPC target; `https://host:port` and `http://host:port` say TLS or plaintext as well. The port is
            50051 unless given. By default `ANTIPHON_TARGET` from the environment, else `127.0.0.1:50051`.
        api_key: The API key; by default `ANTIPHON_API_KEY` from the environment. An empty string means none.
        tls: True, False, or a `Tls`. By default plaintext for loopback addresses and Unix sockets, TLS for everything else.
        timeout_s: Time for a unary call and its retries; None means no deadline. Streams have none.
        retries: How many attempts may follow the first, where repeating a call is safe; 0 turns retries off.
        metadata: What every call carries.
        allow_insecure_credentials: Whether an API key may go in plaintext to another machine.
        channel_options: More options of the gRPC channel.
        tracing: Whether calls have OpenTelemetry spans: True takes the process's own tracer provider. Needs `antiphon-client[telemetry]`.

    Attributes:
        completions: Answers of a model to a conversation.
        models: What models there are.
        health: How the server does.
        raw: Calls by the contract's own messages.
        target: Where the server is, settled.
        uses_tls: Whether TLS is spoken to it.

    Raises:
        TypeError: An argument is of a wrong type.
        ImportError: Tracing is wanted, and OpenTelemetry is not installed.
        ValueError: The API key would go to another machine in plaintext, or an argument cannot be read.
    """

    def __init__(
        self,
        target: str | None = None,
        *,
        api_key: str | None = None,
        tls: bool | Tls | None = None,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        retries: int = DEFAULT_RETRIES,
        metadata: Mapping[str, str] | None = None,
        allow_insecure_credentials: bool = False,
        channel_options: Sequence[tuple[str, str | int]] = (),
        tracing: bool | TracerProvider = False,
    ) -> None:
        connection = connection_to(
            target,
            api_key=api_key,
            tls=tls,
            metadata=metadata or {},
            allow_insecure_credentials=allow_insecure_credentials,
            channel_options=channel_options,
        )
        timeout_s, retries = checked_limits(timeout_s, retries)
        spans = spans_for(tracing, connection.target, client_version())
        self.target = connection.target
        self.uses_tls = connection.tls is not None
        self._transport = Transport(connection, CallDefaults(timeout_s, retries, connection.metadata), spans)
        self.completions = AsyncCompletions(self._transport)
        self.models = AsyncModels(self._transport)
        self.health = AsyncHealth(self._transport)
        self.raw = AsyncRaw(self._transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls that still run are cancelled, and later ones raise RuntimeError."""
        await self._transport.close()


class AsyncRaw:
    """The escape hatch: any method, by the contract's own messages, with this client's metadata, deadlines and typed errors."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def unary(
        self, method: str, request: betterproto2.Message, response_type: type[ResponseT], **parameters: Unpack[CallParameters]
    ) -> ResponseT:
        """Makes a unary call. It is repeated only where no connection came about or the server was draining.

        Args:
            method: The full name, as in `/antiphon.api.model.v1.ModelService/GetModel`.
            request: The request.
            response_type: What the method returns.
            parameters: See `CallParameters`.

        Raises:
            AntiphonError: The call failed.
        """
        called = Method(method, type(request), response_type)
        return await self._transport.unary(called, request, self._transport.defaults.unary(parameters))

    def stream(
        self, method: str, request: betterproto2.Message, response_type: type[ResponseT], **parameters: Unpack[CallParameters]
    ) -> AsyncRawStream[ResponseT]:
        """Prepares a streaming call. The arguments are those of `unary`."""
        called = Method(method, type(request), response_type)
        return AsyncRawStream(self._transport.stream(called, request, self._transport.defaults.stream(parameters)))

    @property
    def channel(self) -> grpc.aio.Channel:
        """The gRPC channel itself. Calls made on it carry nothing of this client's."""
        return self._transport.channel
