"""One call on its way through the chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from antiphon.ports.call import LOCAL_OWNER, CallContext, Caller

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from antiphon.api.core.v1.permission_pb2 import Permission


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """One method of the contract.

    Attributes:
        name: The full name, as in `/antiphon.api.completion.v1.CompletionService/Complete`.
        request_type: The class of its request.
        server_streaming: Whether it answers in a stream.
        permission: What its caller needs; UNSPECIFIED where there is no such method.
    """

    name: str
    request_type: type[Message]
    server_streaming: bool
    permission: Permission


class Encoding(Enum):
    """How a call's messages are written."""

    PROTO = "proto"
    JSON = "json"


@dataclass(slots=True)
class IncomingCall:
    """One call, as far as it has come through the chain.

    Attributes:
        call_id: Names the call.
        method: What is called.
        metadata: The caller's metadata, text values only.
        body: The request's bytes, from when they are fetched until they are decoded.
        arrived_s: When it arrived, on the loop's clock in seconds.
        time_left_s: What was left of the caller's deadline at arrival, in seconds; None means no deadline.
        encoding: How its request is written.
        certificate_names: The names in the client's certificate, once its signature was checked; empty without one.
        rpc_system: The protocol it came by, as OpenTelemetry names it: `grpc` or `connectrpc`.
        peer: Tells the other end of its connection, as in `ipv4:127.0.0.1:40000`; None where the port does not know.
        fetch_body: Brings the request's bytes, for a port that does not wait for them before it knows who calls; None where they are here.
        caller: Who calls, as far as the steps have found out.
        deadline_s: When the provider must be done, on the loop's clock in seconds; None means no deadline.
        facts: What is noted about it for its one line in the log.
        request: The request, once decoded.
        messages_sent: How many response messages went out.
    """

    call_id: str
    method: RpcMethod
    metadata: Mapping[str, str]
    body: bytes
    arrived_s: float
    time_left_s: float | None
    encoding: Encoding = Encoding.PROTO
    certificate_names: Sequence[str] = ()
    rpc_system: str = "grpc"
    peer: Callable[[], str] | None = None
    fetch_body: Callable[[], Awaitable[bytes]] | None = None
    caller: Caller = LOCAL_OWNER
    deadline_s: float | None = None
    facts: dict[str, object] = field(default_factory=dict[str, object])
    request: Any = None
    messages_sent: int = 0

    def to_context(self) -> CallContext:
        """Returns what the layers below see of it, once every step has been passed."""
        return CallContext(self.call_id, self.method.name, self.deadline_s, self.facts, self.caller)


Send = Callable[["Message"], Awaitable[None]]
Handler = Callable[[IncomingCall, Send], Awaitable[None]]
# A step gets the call, where to send, and the rest of the chain.
Interceptor = Callable[[IncomingCall, Send, Handler], Awaitable[None]]


def chain(interceptors: list[Interceptor], innermost: Handler) -> Handler:
    """Puts the interceptors around a handler, the first outermost."""
    handler = innermost
    for interceptor in reversed(interceptors):
        handler = _around(interceptor, handler)
    return handler


def _around(interceptor: Interceptor, rest: Handler) -> Handler:
    # A coroutine function of its own would cost a frame at each step; the interceptor's own coroutine is enough.
    def handler(call: IncomingCall, send: Send) -> Awaitable[None]:
        return interceptor(call, send, rest)

    return handler
