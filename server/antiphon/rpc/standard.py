"""The standard services, `grpc.health.v1` and server reflection, with their requests decoded inside a guard of their own."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from antiphon.calls.interceptors.draining import server_draining
from antiphon.calls.status import status_of
from antiphon.errors import InvalidRequestError, Reason
from antiphon.rpc.binding import close_with

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from antiphon.calls.in_flight import InFlight

    AnyHandler = grpc.RpcMethodHandler[Any, Any]
    AnyContext = grpc.aio.ServicerContext[Any, Any]


class StandardServices:
    """Health and reflection for the contract's services. The packages that implement them bring no types: they are met here alone."""

    def __init__(self, services: Sequence[str], in_flight: InFlight) -> None:
        self._services = services
        self.handlers = StandardHandlers(in_flight)
        self._health: Any = cast("Any", health).aio.HealthServicer()
        cast("Any", health_pb2_grpc).add_HealthServicer_to_server(self._health, self.handlers)
        names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        servicer: Any = cast("Any", reflection).aio.ReflectionServicer(service_names=names)
        cast("Any", reflection_pb2_grpc).add_ServerReflectionServicer_to_server(servicer, self.handlers)

    async def say_serving(self) -> None:
        """Every service, and the server as a whole, is SERVING from now on."""
        for service in ("", *self._services):
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def say_draining(self) -> None:
        """Every service is NOT_SERVING from now on, for good."""
        # One by one, and not by the package's own shutdown: a watcher that takes nothing holds up what waits behind it.
        await asyncio.gather(*(self._health.set(service, health_pb2.HealthCheckResponse.NOT_SERVING) for service in ("", *self._services)))


class StandardHandlers(grpc.GenericRpcHandler):
    """Collects what the generated `add_..._to_server` functions register, and serves it guarded."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._handlers: dict[str, AnyHandler] = {}

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Is called by the generated code beside the next one, with the same methods."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, AnyHandler]) -> None:
        """Takes a service's methods from the generated code."""
        for name, handler in method_handlers.items():
            self._handlers[f"/{service_name}/{name}"] = self._guarded(handler)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> AnyHandler | None:
        """Finds a method's handler."""
        return self._handlers.get(handler_call_details.method)

    def _guarded(self, handler: AnyHandler) -> AnyHandler:
        decode = cast("Callable[[bytes], Any]", handler.request_deserializer)
        encode = cast("Any", handler.response_serializer)
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(self._bidi(handler.stream_stream, decode), response_serializer=encode)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._single(handler.unary_stream, decode), response_serializer=encode)
        return grpc.unary_unary_rpc_method_handler(self._single(handler.unary_unary, decode), response_serializer=encode)

    def _single(self, function: Any, decode: Callable[[bytes], Any]) -> Any:
        async def guarded(body: bytes, context: AnyContext) -> Any:
            with self._in_flight.entered():
                try:
                    return await function(await _decoded(body, decode, context), context)
                except asyncio.CancelledError:
                    await self._told(context)
                    raise

        return guarded

    def _bidi(self, function: Any, decode: Callable[[bytes], Any]) -> Any:
        async def guarded(bodies: AsyncIterator[bytes], context: AnyContext) -> Any:
            async def requests() -> AsyncIterator[Any]:
                async for body in bodies:
                    yield await _decoded(body, decode, context)

            with self._in_flight.entered():
                try:
                    async with aclosing(function(requests(), context)) as answers:
                        async for answer in answers:
                            await context.write(answer)
                except asyncio.CancelledError:
                    await self._told(context)
                    raise

        return guarded

    async def _told(self, context: AnyContext) -> None:
        """Ends a call that the drain cancelled: the runtime would leave a cancelled one open until its own grace is over."""
        if self._in_flight.ended_here():
            await close_with(context, status_of(server_draining()))


async def _decoded(body: bytes, decode: Callable[[bytes], Any], context: AnyContext) -> Any:
    try:
        return decode(body)
    except (DecodeError, UnicodeDecodeError):
        error = InvalidRequestError(Reason.ERROR_REASON_UNDECODABLE_REQUEST, "the bytes are no request of this method")
        await close_with(context, status_of(error))
