"""Binds the chain to grpc.aio: bytes in, bytes out, one closing status."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import grpc

from antiphon.calls.slow_clients import SlowClients
from antiphon.errors import DeadlineError, InvalidRequestError, Reason
from antiphon.identity.certificate_names import names_in_grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from google.protobuf.message import Message
    from google.rpc.status_pb2 import Status

    from antiphon.calls.call import IncomingCall, RpcMethod
    from antiphon.calls.interceptors.admission import Refusal
    from antiphon.calls.methods import ContractMethods, ServedMethod

    Context = grpc.aio.ServicerContext[bytes, bytes]

STATUS_TRAILER = "grpc-status-details-bin"
# A call that went well goes without: nobody asks after it, and each trailer costs.
CALL_ID_TRAILER = "x-call-id"
_RECEIVE_TIMEOUT_S = 60.0
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class ContractHandlers(grpc.GenericRpcHandler):
    """Serves the contract's methods.

    Requests are not decoded by the runtime, which would answer an undecodable one itself: the chain decodes them inside the guard.
    """

    def __init__(self, methods: ContractMethods, *, certificates: bool) -> None:
        self._methods = methods
        self._certificates = certificates
        self._handlers: dict[str, tuple[RpcMethod, grpc.RpcMethodHandler[bytes, bytes]]] = {}
        # Who sends only half of a request keeps a call's place, too.
        self._slow_senders = SlowClients(_RECEIVE_TIMEOUT_S)
        self._refusals: dict[Refusal, grpc.RpcMethodHandler[bytes, bytes]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Finds a method's handler; what is not there gets a typed refusal."""
        name = handler_call_details.method
        found = self._handlers.get(name)
        if found is None:
            if served := self._methods.get(name):
                found = self._handlers[name] = (served.rpc, self._bound(served))
            else:
                served = self._methods.unknown(name)
                found = (served.rpc, self._bound(served))
        method, handler = found
        refusal = self._methods.refusal(method)
        return handler if refusal is None else self._refusing(refusal)

    def _refusing(self, refusal: Refusal) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Returns what closes a call before its request is read.

        It returns instead of aborting: the runtime makes an exception of the latter.
        """
        handler = self._refusals.get(refusal)
        if handler is None:
            code, message = _CODES[refusal.status.code], refusal.status.message
            trailers = ((STATUS_TRAILER, refusal.status.SerializeToString()),)

            async def refuse(requests: object, context: Context) -> None:  # the runtime runs a plain function in a thread
                del requests
                context.set_code(code)
                context.set_details(message)
                context.set_trailing_metadata(trailers)

            handler = self._refusals[refusal] = grpc.stream_stream_rpc_method_handler(refuse)
        return handler

    def _bound(self, served: ServedMethod) -> grpc.RpcMethodHandler[bytes, bytes]:
        # Bound as if requests came in a stream: the runtime would read the request of any other before the chain knows whether it wants the call.
        if served.rpc.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(served))
        return grpc.stream_unary_rpc_method_handler(self._unary(served))

    def _incoming(self, served: ServedMethod, context: Context) -> IncomingCall:
        fetch_body = partial(self._request, context)
        return incoming(self._methods, served.rpc, context, certificates=self._certificates, fetch_body=fetch_body)

    async def _request(self, context: Context) -> bytes:
        """Waits for a call's request.

        Raises:
            InvalidRequestError: The call has none (UNDECODABLE_REQUEST).
            DeadlineError: It did not come in time (DEADLINE_EXCEEDED).
        """
        with self._slow_senders.watching() as sender:
            sender.awaited_for = context
            try:
                request: Any = await context.read()
            except asyncio.CancelledError:
                if sender.ended_here():
                    raise late_request(_RECEIVE_TIMEOUT_S) from None
                raise
        return request_in(request)

    def _unary(self, served: ServedMethod) -> Callable[[object, Context], Awaitable[bytes]]:
        async def unary(requests: object, context: Context) -> bytes:
            del requests
            call = self._incoming(served, context)
            reply = b""

            async def send(message: Message) -> None:
                nonlocal reply
                reply = message.SerializeToString()
                call.messages_sent += 1

            status = await self._methods.serve(served.handler, call, send)
            if status is not None:
                await close_with(context, status, call.call_id)
            return reply

        return unary

    def _stream(self, served: ServedMethod) -> Callable[[object, Context], Awaitable[None]]:
        async def stream(requests: object, context: Context) -> None:
            del requests
            call = self._incoming(served, context)
            # The runtime forgets that it sent the head when the first write is cancelled, and could close the call no more; so that one goes on by itself.
            first: asyncio.Task[None] | None = None
            with self._methods.slow_readers.watching() as reader:

                async def send(message: Message) -> None:
                    nonlocal first
                    reader.awaited_for = message
                    try:
                        if call.messages_sent:
                            await context.write(message.SerializeToString())
                        else:
                            first = asyncio.ensure_future(context.write(message.SerializeToString()))
                            # When the call is cancelled nobody waits for it any more, and asyncio would log its failure as one that nobody saw.
                            first.add_done_callback(_seen)
                            await asyncio.shield(first)
                    except asyncio.CancelledError:
                        reader.raise_if_evicted()
                        raise
                    except grpc.aio.InternalError:
                        # A write that meets the end of its call fails at once; the cancellation comes a moment later.
                        raise asyncio.CancelledError from None
                    reader.awaited_for = None
                    call.messages_sent += 1

                status = await self._methods.serve(served.handler, call, send)
            if status is not None:
                if first is not None and not first.done():
                    await first
                _returns(context, status, call.call_id)

        return stream


def _seen(write: asyncio.Task[None]) -> None:
    if not write.cancelled():
        write.exception()


def incoming(
    methods: ContractMethods,
    method: RpcMethod,
    context: Context,
    *,
    certificates: bool,
    fetch_body: Callable[[], Awaitable[bytes]] | None = None,
) -> IncomingCall:
    """Takes a call from the runtime.

    Args:
        methods: Whose call it is.
        method: What is called.
        context: The runtime's own view of the call.
        certificates: Whether the names in the client's certificate are wanted; reading them costs some microseconds.
        fetch_body: Brings the request's bytes; None where the chain does not ask for them.
    """
    pairs = context.invocation_metadata() or ()
    metadata = {key: value for key, value in pairs if isinstance(value, str)}
    if len(metadata) != len(pairs):
        metadata = _joined(pairs)
    names = names_in_grpc(cast("Any", context).auth_context()) if certificates else ()
    left_s = context.time_remaining()
    return methods.arrived(method, metadata, time_left_s=left_s, certificate_names=names, peer=context.peer, fetch_body=fetch_body)


def request_in(received: Any) -> bytes:
    """Returns the request of a call whose first message was waited for.

    Raises:
        InvalidRequestError: It has none (UNDECODABLE_REQUEST).
    """
    if received is grpc.aio.EOF:
        raise InvalidRequestError(Reason.ERROR_REASON_UNDECODABLE_REQUEST, "the call ended without a request; send one message")
    return received


def late_request(timeout_s: float) -> DeadlineError:
    """Makes what callers are told whose request does not come."""
    return DeadlineError(Reason.ERROR_REASON_DEADLINE_EXCEEDED, f"the request did not arrive within {timeout_s:g} s")


def _joined(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """Joins the values of a key that came more than once, as HTTP does: no reader of one of them misses the others."""
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        if isinstance(value, str):
            values.setdefault(key, []).append(value)
    return {key: ", ".join(several) for key, several in values.items()}


def _returns(context: Context, status: Status, call_id: str) -> None:
    """Has a call end with a status once its handler returns. That costs less than aborting, which makes an exception that holds the call in a cycle."""
    context.set_code(_CODES[status.code])
    context.set_details(status.message)
    context.set_trailing_metadata(_trailers(status, call_id))


async def close_with(context: grpc.aio.ServicerContext[Any, Any], status: Status, call_id: str) -> None:
    """Ends a call with a status, its details, and the call's id, by which the log knows it."""
    await context.abort(_CODES[status.code], status.message, _trailers(status, call_id))


def _trailers(status: Status, call_id: str) -> tuple[tuple[str, str | bytes], ...]:
    return ((STATUS_TRAILER, status.SerializeToString()), (CALL_ID_TRAILER, call_id))
