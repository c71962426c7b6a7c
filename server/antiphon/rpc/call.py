"""One call on its way through the chain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from antiphon.ports.call import CallContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class RpcMethod:
    """One method of the contract.

    Attributes:
        name: The full name, as in `/antiphon.api.completion.v1.CompletionService/Complete`.
        request_type: The class of its request.
        server_streaming: Whether it answers in a stream.
    """

    name: str
    request_type: type[Message]
    server_streaming: bool


@dataclass(slots=True)
class IncomingCall:
    """One call, as far as it has come through the chain.

    Attributes:
        call_id: Names the call.
        method: What is called.
        metadata: The caller's metadata, text values only.
        body: The request's bytes.
        arrived_s: When it arrived, on the loop's clock in seconds.
        time_left_s: What was left of the caller's deadline at arrival, in seconds; None means no deadline.
        context: What the layers below see; made by the deadline step.
        request: The request, once decoded.
        messages_sent: How many response messages went out.
    """

    call_id: str
    method: RpcMethod
    metadata: Mapping[str, str]
    body: bytes
    arrived_s: float
    time_left_s: float | None
    context: CallContext = field(init=False)
    request: Any = None
    messages_sent: int = 0

    def __post_init__(self) -> None:
        self.context = CallContext(self.call_id, self.method.name)


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
