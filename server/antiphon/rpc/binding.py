"""Binds the chain to grpc.aio: bytes in, bytes out, one closing status."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import message_factory

from antiphon.errors import NotFoundError, Reason, UnavailableError
from antiphon.rpc.call import IncomingCall, RpcMethod, chain
from antiphon.rpc.guard import guarded
from antiphon.rpc.status import status_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message
    from google.rpc.status_pb2 import Status

    from antiphon.rpc.call import Handler, Interceptor, Send
    from antiphon.rpc.in_flight import InFlight

    UnaryMethod = Callable[[Any, Any], Awaitable[Message]]
    StreamMethod = Callable[[Any, Any, Send], Awaitable[None]]
    Context = grpc.aio.ServicerContext[bytes, bytes]

STATUS_TRAILER = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ContractHandlers(grpc.GenericRpcHandler):
    """Serves the contract's services from their descriptors: a method's name in snake case is the servicer's function.

    A unary method's function returns the answer; a streaming one's is given where to send its answers, because a generator more would be paid for with
    each of them.

    Requests are not decoded by the runtime, which would answer an undecodable one itself: the chain decodes them inside the guard.
    """

    def __init__(self, interceptors: list[Interceptor], in_flight: InFlight) -> None:
        self._interceptors = interceptors
        self._in_flight = in_flight
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}
        self._call_prefix = secrets.token_hex(4)
        self._call_numbers = itertools.count(1)

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Mounts one service."""
        for method in service.methods:
            rpc = RpcMethod(
                f"/{service.full_name}/{method.name}", message_factory.GetMessageClass(method.input_type), method.server_streaming
            )
            function = getattr(servicer, _snake(method))
            handler = chain(self._interceptors, _streaming(function) if rpc.server_streaming else _unary(function))
            if rpc.server_streaming:
                self._handlers[rpc.name] = grpc.unary_stream_rpc_method_handler(self._bind_stream(rpc, handler))
            else:
                self._handlers[rpc.name] = grpc.unary_unary_rpc_method_handler(self._bind_unary(rpc, handler))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Finds a method's handler; what is not there gets a typed refusal."""
        return self._handlers.get(handler_call_details.method) or _unknown(handler_call_details.method)

    def _incoming(self, method: RpcMethod, body: bytes, context: Context) -> IncomingCall:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        return IncomingCall(
            call_id=f"{self._call_prefix}-{next(self._call_numbers)}",
            method=method,
            metadata=metadata,
            body=body,
            arrived_s=asyncio.get_running_loop().time(),
            time_left_s=context.time_remaining(),
        )

    async def _serve(self, handler: Handler, call: IncomingCall, send: Send, context: Context) -> None:
        """Counts a call in, runs it, and closes it with its status where it did not go well."""
        with self._in_flight.entered() as draining:
            status = status_of(DRAINING) if draining else await self._run(handler, call, send)
            if status is not None:
                await close_with(context, status)

    async def _run(self, handler: Handler, call: IncomingCall, send: Send) -> Status | None:
        """Runs a call to its end; one that outlasts the drain's grace is told so."""
        try:
            return await guarded(handler, call, send)
        except asyncio.CancelledError:
            if self._in_flight.ended_here():
                return status_of(DRAINING)
            raise

    def _bind_unary(self, method: RpcMethod, handler: Handler) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def unary(body: bytes, context: Context) -> bytes:
            call = self._incoming(method, body, context)
            reply = b""

            async def send(message: Message) -> None:
                nonlocal reply
                reply = message.SerializeToString()
                call.messages_sent += 1

            await self._serve(handler, call, send, context)
            return reply

        return unary

    def _bind_stream(self, method: RpcMethod, handler: Handler) -> Callable[[bytes, Context], Awaitable[None]]:
        async def stream(body: bytes, context: Context) -> None:
            call = self._incoming(method, body, context)

            async def send(message: Message) -> None:
                await context.write(message.SerializeToString())
                call.messages_sent += 1

            await self._serve(handler, call, send, context)

        return stream


DRAINING = UnavailableError(
    Reason.ERROR_REASON_SERVER_DRAINING, "the server is shutting down; ask again, another replica will answer", retry_after_s=0.1
)


async def close_with(context: grpc.aio.ServicerContext[Any, Any], status: Status) -> None:
    """Ends a call with a status and its details."""
    await context.abort(_CODES[status.code], status.message, ((STATUS_TRAILER, status.SerializeToString()),))


def _unary(function: UnaryMethod) -> Handler:
    async def handler(call: IncomingCall, send: Send) -> None:
        await send(await function(call.request, call.context))

    return handler


def _streaming(function: StreamMethod) -> Handler:
    async def handler(call: IncomingCall, send: Send) -> None:
        await function(call.request, call.context, send)

    return handler


def _snake(method: MethodDescriptor) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in method.name).lstrip("_")


def _unknown(method: str) -> grpc.RpcMethodHandler[bytes, bytes]:
    error = NotFoundError(
        Reason.ERROR_REASON_METHOD_NOT_FOUND, f"there is no method {method[:256]!r}; server reflection lists what is there"
    )

    async def refuse(_: bytes, context: Context) -> bytes:
        await close_with(context, status_of(error))
        return b""

    return grpc.unary_unary_rpc_method_handler(refuse)
