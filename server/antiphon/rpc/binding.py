"""Binds the chain to grpc.aio: bytes in, bytes out, one closing status."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import empty_pb2, message_factory

from antiphon.errors import NotFoundError, Reason
from antiphon.rpc.call import IncomingCall, RpcMethod, chain
from antiphon.rpc.guard import guarded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message
    from google.rpc.status_pb2 import Status

    from antiphon.rpc.call import Handler, Send
    from antiphon.rpc.in_flight import InFlight
    from antiphon.rpc.interceptors import Steps

    UnaryMethod = Callable[[Any, Any], Awaitable[Message]]
    StreamMethod = Callable[[Any, Any, Send], Awaitable[None]]
    Context = grpc.aio.ServicerContext[bytes, bytes]

STATUS_TRAILER = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
# Callers can invent as many names as they like; to the metrics they are one.
_UNKNOWN = RpcMethod("unknown", empty_pb2.Empty, server_streaming=False)
_LOGGED_CHARACTERS = 256


class ContractHandlers(grpc.GenericRpcHandler):
    """Serves the contract's services from their descriptors: a method's name in snake case is the servicer's function.

    A unary method's function returns the answer; a streaming one's is given where to send its answers, because a generator more would be paid for with
    each of them.

    Requests are not decoded by the runtime, which would answer an undecodable one itself: the chain decodes them inside the guard.
    """

    def __init__(self, steps: Steps, in_flight: InFlight) -> None:
        self._steps = steps
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
            innermost = _streaming(function) if rpc.server_streaming else _unary(function)
            handler = chain([*self._steps.of_calls, *self._steps.of_requests], innermost)
            if rpc.server_streaming:
                self._handlers[rpc.name] = grpc.unary_stream_rpc_method_handler(self._bind_stream(rpc, handler))
            else:
                self._handlers[rpc.name] = grpc.unary_unary_rpc_method_handler(self._bind_unary(rpc, handler))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Finds a method's handler; what is not there gets a typed refusal."""
        return self._handlers.get(handler_call_details.method) or self._unknown(handler_call_details.method)

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
        with self._in_flight.entered():
            status = await guarded(handler, call, send)
            if status is not None:
                await close_with(context, status)

    def _unknown(self, method: str) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Makes the refusal of a method that is not there; like every call it is counted and logged."""

        async def refuse(call: IncomingCall, send: Send) -> None:
            del call, send
            raise NotFoundError(
                Reason.ERROR_REASON_METHOD_NOT_FOUND, f"there is no method {method[:256]!r}; server reflection lists what is there"
            )

        steps = chain(self._steps.of_calls, refuse)

        def handler(call: IncomingCall, send: Send) -> Awaitable[None]:
            call.context.facts["called"] = plain(method)
            return steps(call, send)

        return grpc.unary_unary_rpc_method_handler(self._bind_unary(_UNKNOWN, handler))

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


def plain(name: str) -> str:
    """Returns a name of a caller's invention as a log can hold it: short, in ASCII, without anything that a terminal obeys."""
    return name[:_LOGGED_CHARACTERS].encode("unicode_escape").decode()[:_LOGGED_CHARACTERS]
