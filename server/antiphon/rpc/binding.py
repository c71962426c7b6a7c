"""Binds the chain to grpc.aio: bytes in, bytes out, one closing status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message
    from google.rpc.status_pb2 import Status

    from antiphon.calls.call import IncomingCall, RpcMethod
    from antiphon.calls.methods import ContractMethods, ServedMethod

    Context = grpc.aio.ServicerContext[bytes, bytes]

STATUS_TRAILER = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ContractHandlers(grpc.GenericRpcHandler):
    """Serves the contract's methods.

    Requests are not decoded by the runtime, which would answer an undecodable one itself: the chain decodes them inside the guard.
    """

    def __init__(self, methods: ContractMethods) -> None:
        self._methods = methods
        self._handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Finds a method's handler; what is not there gets a typed refusal."""
        name = handler_call_details.method
        if found := self._handlers.get(name):
            return found
        if served := self._methods.get(name):
            handler = self._bound(served)
            self._handlers[name] = handler
            return handler
        return self._bound(self._methods.unknown(name))

    def _bound(self, served: ServedMethod) -> grpc.RpcMethodHandler[bytes, bytes]:
        if served.rpc.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(served))
        return grpc.unary_unary_rpc_method_handler(self._unary(served))

    def _incoming(self, method: RpcMethod, body: bytes, context: Context) -> IncomingCall:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        return self._methods.arrived(method, body, metadata, time_left_s=context.time_remaining())

    def _unary(self, served: ServedMethod) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def unary(body: bytes, context: Context) -> bytes:
            call = self._incoming(served.rpc, body, context)
            reply = b""

            async def send(message: Message) -> None:
                nonlocal reply
                reply = message.SerializeToString()
                call.messages_sent += 1

            status = await self._methods.serve(served.handler, call, send)
            if status is not None:
                await close_with(context, status)
            return reply

        return unary

    def _stream(self, served: ServedMethod) -> Callable[[bytes, Context], Awaitable[None]]:
        async def stream(body: bytes, context: Context) -> None:
            call = self._incoming(served.rpc, body, context)

            async def send(message: Message) -> None:
                await context.write(message.SerializeToString())
                call.messages_sent += 1

            status = await self._methods.serve(served.handler, call, send)
            if status is not None:
                await close_with(context, status)

        return stream


async def close_with(context: grpc.aio.ServicerContext[Any, Any], status: Status) -> None:
    """Ends a call with a status and its details."""
    await context.abort(_CODES[status.code], status.message, ((STATUS_TRAILER, status.SerializeToString()),))
