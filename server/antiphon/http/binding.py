"""Binds the chain to HTTP: Connect and gRPC-Web in, the same steps, the same closing status."""

from __future__ import annotations

import asyncio
import base64
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf import json_format

from antiphon.calls.status import status_of
from antiphon.errors import DeadlineError, Reason
from antiphon.http.asgi import ABORT, certificate_names
from antiphon.http.body import Body
from antiphon.http.head import Wire, read_head
from antiphon.http.pulled import Pulled
from antiphon.http.refusals import connect_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message
    from google.rpc.status_pb2 import Status

    from antiphon.calls.call import IncomingCall
    from antiphon.calls.call import Send as SendMessage
    from antiphon.calls.methods import ContractMethods, ServedMethod
    from antiphon.http.asgi import Event, Receive, Scope, Send
    from antiphon.http.head import Head

_UNARY, _STREAM = "/unary", "/stream"
_NO_MESSAGE = b"\x00" * 5
_TYPES = {
    Wire.CONNECT_UNARY: "application/{}",
    Wire.CONNECT_STREAM: "application/connect+{}",
    Wire.GRPC_WEB: "application/grpc-web+{}",
    Wire.GRPC_WEB_TEXT: "application/grpc-web+{}",
}
_TEXT_TYPE = (b"content-type", b"application/grpc-web-text+proto")
_CLOSE = (b"connection", b"close")
_POST = (b"allow", b"POST")


class ContractCalls:
    """Serves the contract's methods.

    connectrpc writes the answers. It is shown an empty request in place of each real one, because it reads a request before anybody is asked who calls, and
    answers what it cannot read itself; our chain fetches the body once the caller is known and has been let in.
    """

    def __init__(self, methods: ContractMethods, *, limit_bytes: int) -> None:
        self._methods = methods
        self._limit_bytes = limit_bytes
        self._connect = _Connect()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one call."""
        found = self._methods.get(scope["path"])
        served = found or self._methods.unknown(scope["path"])
        head = read_head(scope, served.rpc, known=found is not None)
        body = Body(head, receive, self._limit_bytes)
        await self._connect.run(_Exchange(self._methods, served, head, scope, body=body, receive=receive, send=send))


class _Exchange:
    """One call: what connectrpc is shown of it, and what becomes of what connectrpc sends."""

    def __init__(
        self, methods: ContractMethods, served: ServedMethod, head: Head, scope: Scope, *, body: Body, receive: Receive, send: Send
    ) -> None:
        self._methods = methods
        self._served = served
        self._head = head
        self._body = body
        self._receive = receive
        self._send = send
        self._fetched = asyncio.Event()
        self._shown = False
        self._cut = False
        self._start: Event = {}
        self._whole = b""
        self._streams = head.wire is Wire.CONNECT_STREAM or (head.wire.is_web and served.rpc.server_streaming)
        self.abort: Any = scope.get("state", {}).get(ABORT)
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": _STREAM if self._streams else _UNARY,
            "root_path": "",
            "query_string": b"",
            "headers": [(b"content-type", _TYPES[head.wire].format(head.encoding.value).encode())],
        }
        self.call: IncomingCall = methods.arrived(
            served.rpc,
            head.metadata,
            time_left_s=head.time_left_s,
            encoding=head.encoding,
            certificate_names=certificate_names(scope),
            rpc_system="grpc" if head.wire.is_web else "connectrpc",
            peer=partial(_address, client) if (client := scope.get("client")) else None,
            fetch_body=self._fetch,
        )

    async def _fetch(self) -> bytes:
        """Takes the request's message out of its body; once it is here, the connection is watched for its end."""
        message = await self._body.message()
        self._fetched.set()
        return message

    async def receive(self) -> Event:
        """Shows an empty request, then nothing until the connection ends."""
        if not self._shown:
            self._shown = True
            return {"type": "http.request", "body": b"" if self._head.wire is Wire.CONNECT_UNARY else _NO_MESSAGE, "more_body": False}
        await self._fetched.wait()
        return await self._receive()

    async def send(self, event: Event) -> None:
        """Passes an answer on, as its caller is to see it."""
        if self._cut:
            raise ConnectionAbortedError("the call ended while its caller took nothing")
        if event["type"] == "http.response.start":
            self._start = self._told(event)
            # A whole answer is sent with its length, and in one go.
            if not self._streams:
                return
        try:
            await self._pass_on(event)
        except asyncio.CancelledError:
            # What was being sent may be there by half: nothing can follow it.
            self._cut = True
            raise

    async def _pass_on(self, event: Event) -> None:
        if event["type"] == "http.response.body" and self._head.wire is Wire.GRPC_WEB_TEXT:
            event["body"] = base64.b64encode(event["body"])
        if self._streams:
            await self._send(event)
        elif event["more_body"]:
            self._whole += event["body"]
        else:
            self._whole += event["body"]
            self._start["headers"].append((b"content-length", str(len(self._whole)).encode()))
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": self._whole})

    async def answer(self) -> Message:
        """Runs a unary call."""
        if refusal := self._methods.refusal(self._served.rpc):
            raise connect_error(refusal.status)
        reply: Message | None = None

        async def send(message: Message) -> None:
            nonlocal reply
            reply = message
            self.call.messages_sent += 1

        status = await self._run(send)
        if status is not None:
            raise connect_error(status)
        assert reply is not None
        return reply

    async def stream(self, hand: SendMessage) -> Status | None:
        """Runs a streaming call."""
        if refusal := self._methods.refusal(self._served.rpc):
            return refusal.status
        call = self.call
        with self._methods.slow_readers.watching() as reader:

            async def send(message: Message) -> None:
                reader.awaited_for = message
                try:
                    await hand(message)
                except asyncio.CancelledError:
                    reader.raise_if_evicted()
                    raise
                reader.awaited_for = None
                call.messages_sent += 1

            return await self._run(send)

    async def _run(self, send: SendMessage) -> Status | None:
        call = self.call
        if call.time_left_s is None:
            return await self._methods.serve(self._served.handler, call, send)
        # No runtime ends a call here when its time is up.
        try:
            async with asyncio.timeout_at(call.arrived_s + call.time_left_s):
                return await self._methods.serve(self._served.handler, call, send)
        except TimeoutError:
            return status_of(DeadlineError(Reason.ERROR_REASON_DEADLINE_EXCEEDED, "the call's deadline passed while it was worked on"))

    def _told(self, start: Event) -> Event:
        """Returns the beginning of the answer as its caller is to see it."""
        headers = start["headers"]
        if self._head.http_status is not None and start["status"] != 200:
            start["status"] = self._head.http_status
            if self._head.http_status == 405:
                headers.append(_POST)
        if self._methods.in_flight.draining:
            headers.append(_CLOSE)
        if self._head.wire is Wire.GRPC_WEB_TEXT:
            start["headers"] = [_TEXT_TYPE, *(pair for pair in headers if pair[0] != _TEXT_TYPE[0])]
        return start


_current: ContextVar[_Exchange] = ContextVar("exchange")


class _Connect(ConnectASGIApplication[None]):
    """connectrpc, with two methods that are all of ours: which one is called is the exchange's matter."""

    def __init__(self) -> None:
        library: Any = super()  # its generic endpoints are given without their parameters, which strict types cannot follow
        library.__init__(service=None, endpoints=_endpoints, compressions=(), codecs=(_Proto(), _Json()))

    @property
    def path(self) -> str:
        """Is asked by nobody: there are no prefixes here."""
        return "/"

    async def run(self, exchange: _Exchange) -> None:
        """Serves one call to its end."""
        _current.set(exchange)
        try:
            await self(exchange.scope, exchange.receive, exchange.send)  # pyright: ignore[reportArgumentType]  # the library's own types for ASGI
        except (asyncio.CancelledError, ConnectionAbortedError):
            # By its own reader, its deadline or the drain, while nothing could be sent: that is in the log, and the caller sees the connection end.
            if exchange.abort is None:
                raise
            exchange.abort()


def _endpoints(_: None) -> Mapping[str, Endpoint[Any, Any]]:
    return {
        _UNARY: Endpoint.unary(_method(StreamType.UNARY), lambda _, __: _current.get().answer()),
        _STREAM: Endpoint.server_stream(_method(StreamType.SERVER_STREAM), lambda _, __: Pulled(_current.get().stream, connect_error)),
    }


def _method(kind: StreamType) -> MethodInfo[Any, Any]:
    return MethodInfo(name="", service_name="", input=bytes, output=bytes, idempotency_level=IdempotencyLevel.UNKNOWN, stream_type=kind)


class _Proto:
    """Writes answers as protobuf's bytes; what it reads is the empty request that the library is shown."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: Message) -> bytes:
        return message.SerializeToString()

    def decode(self, data: bytes | bytearray, message_class: object) -> bytes:
        del data, message_class
        return b""


class _Json(_Proto):
    """Writes answers as JSON by protobuf's mapping: names in lowerCamelCase, 64-bit integers as texts, unset fields left out."""

    def name(self) -> str:
        return "json"

    def encode(self, message: Message) -> bytes:
        return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()


def _address(client: tuple[str, int]) -> str:
    host, port = client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
