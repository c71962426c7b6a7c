"""The standard services, `grpc.health.v1` and server reflection: guarded, counted and authenticated like the contract's own.

They are answered while the server drains, and whatever else it refuses: who asks wants to know just that.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.calls.call import RpcMethod, chain
from antiphon.calls.guard import guarded
from antiphon.calls.interceptors.draining import server_draining
from antiphon.errors import InvalidRequestError, NotFoundError, Reason
from antiphon.rpc.binding import close_with, incoming, late_request, request_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence

    from antiphon.calls.call import IncomingCall, Send
    from antiphon.calls.in_flight import InFlight
    from antiphon.calls.methods import ContractMethods

    AnyHandler = grpc.RpcMethodHandler[Any, Any]
    AnyContext = grpc.aio.ServicerContext[Any, Any]

# How much later the runtime says that a call was cancelled than that its requests have ended.
_TOLD_APART_S = 0.01
# Anybody may ask for health where it is public, and the runtime holds what has come of a request until all of it has, up to the limit of the largest one. So
# few are read at a time; a real one is there at once, and one that is not there soon is let go.
_READ_AT_A_TIME = 16
_RECEIVE_TIMEOUT_S = 5.0
# What calling a service takes, and the name under which the configuration makes it public.
_PERMISSIONS = {
    health.SERVICE_NAME: (Permission.PERMISSION_HEALTH_READ, "health"),
    reflection.SERVICE_NAME: (Permission.PERMISSION_REFLECTION_READ, "reflection"),
}


class StandardServices:
    """Health and reflection for the contract's services. The packages that implement them bring no types: they are met here alone."""

    def __init__(self, methods: ContractMethods, in_flight: InFlight, public: Collection[str], *, certificates: bool) -> None:
        self._services: Sequence[str] = methods.services
        self.handlers = StandardHandlers(methods, in_flight, public, certificates=certificates)
        self._health: Any = cast("Any", health).aio.HealthServicer()
        cast("Any", health_pb2_grpc).add_HealthServicer_to_server(self._health, self.handlers)
        names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
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
    """Collects what the generated `add_..._to_server` functions register, and serves it behind the steps of standard calls."""

    def __init__(self, methods: ContractMethods, in_flight: InFlight, public: Collection[str], *, certificates: bool) -> None:
        self._methods = methods
        self._in_flight = in_flight
        self._public = public
        self._certificates = certificates
        self._handlers: dict[str, AnyHandler] = {}
        self._reading = asyncio.Semaphore(_READ_AT_A_TIME)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: object) -> None:
        """Is called by the generated code beside the next one, with the same methods."""

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, AnyHandler]) -> None:
        """Takes a service's methods from the generated code."""
        permission, public_name = _PERMISSIONS[service_name]
        pool: Any = descriptor_pool.Default()
        service = pool.FindServiceByName(service_name)
        for name, handler in method_handlers.items():
            method = service.methods_by_name[name]
            rpc = RpcMethod(
                f"/{service_name}/{name}",
                message_factory.GetMessageClass(method.input_type),
                server_streaming=method.server_streaming,
                permission=permission,
            )
            self._handlers[rpc.name] = self._bound(rpc, handler, public=public_name in self._public)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> AnyHandler | None:
        """Finds a method's handler."""
        return self._handlers.get(handler_call_details.method)

    def _bound(self, rpc: RpcMethod, handler: AnyHandler, *, public: bool) -> AnyHandler:
        encode = cast("Any", handler.response_serializer)
        if handler.stream_stream is not None:
            bidi = self._served(rpc, _answered_by(handler.stream_stream), public=public)
            return grpc.stream_stream_rpc_method_handler(bidi, response_serializer=encode)
        # Bound as if requests came in a stream: the runtime would read the request of any other before anybody is asked who calls.
        if handler.unary_stream is not None:
            stream = self._served(rpc, self._answered(handler.unary_stream), public=public)
            return grpc.stream_stream_rpc_method_handler(stream, response_serializer=encode)
        return grpc.stream_unary_rpc_method_handler(
            self._served(rpc, self._answered(handler.unary_unary), public=public), response_serializer=encode
        )

    def _served(self, rpc: RpcMethod, answer: Callable[[IncomingCall, Any, _Context], Awaitable[Any]], *, public: bool) -> Any:
        steps = self._methods.standard_steps(public=public)

        async def served(asked: Any, context: AnyContext) -> Any:
            call = incoming(self._methods, rpc, context, certificates=self._certificates)
            reply: Any = None

            async def innermost(call: IncomingCall, _: Send) -> None:
                nonlocal reply
                try:
                    reply = await answer(call, asked, _Context(context, call))
                except asyncio.CancelledError:
                    # The runtime would leave a call that the drain cancelled open until its own grace is over.
                    if self._in_flight.ended_here():
                        raise server_draining() from None
                    raise

            with self._in_flight.entered():
                status = await guarded(chain(steps, innermost), call, _sends_nothing)
                if status is not None:
                    await close_with(context, status, call.call_id)
                return reply

        return served

    def _answered(self, function: Any) -> Callable[[IncomingCall, object, _Context], Awaitable[Any]]:
        async def answer(call: IncomingCall, asked: object, context: _Context) -> Any:
            del asked
            call.request = _decoded(await self._request(context), call)
            try:
                reply = await function(call.request, context)
            except NotImplementedError:
                # The package's own answer to a method that it has only the name of.
                raise NotFoundError(
                    Reason.ERROR_REASON_METHOD_NOT_FOUND, f"this server does not know {call.method.name!r}; it knows Check and Watch"
                ) from None
            call.messages_sent += reply is not None
            return reply

        return answer

    async def _request(self, context: _Context) -> bytes:
        """Waits for a call's request.

        Raises:
            InvalidRequestError: The call has none (UNDECODABLE_REQUEST).
            DeadlineError: It did not come in time (DEADLINE_EXCEEDED).
        """
        try:
            async with asyncio.timeout(_RECEIVE_TIMEOUT_S), self._reading:
                request = await context.read()
        except TimeoutError:
            raise late_request(_RECEIVE_TIMEOUT_S) from None
        return request_in(request)


class _Context:
    """What the packages' servicers use of a call's context."""

    def __init__(self, context: AnyContext, call: IncomingCall) -> None:
        self._context = context
        self._call = call

    async def read(self) -> Any:
        """Waits for a request."""
        return await self._context.read()

    async def write(self, message: Any) -> None:
        """Sends a message."""
        await self._context.write(message)
        self._call.messages_sent += 1

    def gone(self) -> bool:
        """Whether the call has ended before its answer: cancelled, broken off, or past its deadline."""
        return self._context.cancelled()

    def set_code(self, code: grpc.StatusCode) -> None:
        """Is called before an exception that says the same."""

    def set_details(self, details: str) -> None:
        """As `set_code`."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> None:
        """Ends the call: the health service does so, for a service that it has never heard of."""
        del code, details
        service = getattr(self._call.request, "service", "")
        raise NotFoundError(
            Reason.ERROR_REASON_COMPONENT_NOT_FOUND,
            f"there is no service {service[:256]!r}; server reflection lists what is there",
            metadata={"component": service},
        )


def _answered_by(function: Any) -> Callable[[IncomingCall, AsyncIterator[bytes], _Context], Awaitable[Any]]:
    async def answer(call: IncomingCall, asked: AsyncIterator[bytes], context: _Context) -> None:
        async def requests() -> AsyncIterator[Any]:
            async for body in asked:
                yield _decoded(body, call)
            # The runtime ends the requests of a call that is over like those of a client that has asked all it wanted, and says a moment later which it was.
            await asyncio.sleep(_TOLD_APART_S)
            if context.gone():
                raise asyncio.CancelledError

        async with aclosing(function(requests(), context)) as answers:
            async for one in answers:
                await context.write(one)

    return answer


def _decoded(body: bytes, call: IncomingCall) -> Any:
    try:
        return call.method.request_type.FromString(body)
    except (DecodeError, UnicodeDecodeError):
        raise InvalidRequestError(Reason.ERROR_REASON_UNDECODABLE_REQUEST, "the bytes are no request of this method") from None


async def _sends_nothing(message: Any) -> None:
    """Stands where the contract's methods are given where to send; these have a context of their own."""
    raise AssertionError(f"nothing sends {message!r} here")
