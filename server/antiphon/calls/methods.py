"""Every method of the contract behind the chain, for whichever port finds it by its name."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import empty_pb2, message_factory

from antiphon.api.core.v1 import permission_pb2
from antiphon.calls.call import Encoding, IncomingCall, RpcMethod, chain
from antiphon.calls.guard import guarded
from antiphon.errors import NotFoundError, Reason
from antiphon.telemetry.logs import loggable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
    from google.protobuf.message import Message
    from google.rpc.status_pb2 import Status

    from antiphon.api.core.v1.permission_pb2 import Permission
    from antiphon.calls.call import Handler, Interceptor, Send
    from antiphon.calls.in_flight import InFlight
    from antiphon.calls.interceptors import Steps
    from antiphon.calls.interceptors.admission import Refusal
    from antiphon.calls.slow_clients import SlowClients
    from antiphon.telemetry.redaction import Redactor

    UnaryMethod = Callable[[Any, Any], Awaitable[Message]]
    StreamMethod = Callable[[Any, Any, Send], Awaitable[None]]

# Callers can invent as many names as they like; to the metrics they are one.
_UNKNOWN = RpcMethod("unknown", empty_pb2.Empty, server_streaming=False, permission=permission_pb2.PERMISSION_UNSPECIFIED)


@dataclass(frozen=True, slots=True)
class ServedMethod:
    """A method and all that a call of it passes.

    Attributes:
        rpc: The method.
        handler: The whole chain, its servicer's function innermost.
    """

    rpc: RpcMethod
    handler: Handler


class ContractMethods:
    """Serves the contract's services from their descriptors: a method's name in snake case is the servicer's function.

    A unary method's function returns the answer; a streaming one's is given where to send its answers, because a generator more would be paid for with
    each of them.

    Attributes:
        services: The full names of the services.
        in_flight: The calls in progress, whichever port they came by.
        slow_readers: The streams in progress, whose ports tell when a reader keeps them waiting.
    """

    def __init__(self, steps: Steps, in_flight: InFlight, slow_readers: SlowClients, redactor: Redactor | None = None) -> None:
        self._steps = steps
        self._redactor = redactor
        self.in_flight = in_flight
        self.slow_readers = slow_readers
        self.services: list[str] = []
        self._methods: dict[str, ServedMethod] = {}
        self._call_prefix = secrets.token_hex(4)
        self._call_numbers = itertools.count(1)

    def mount(self, service: ServiceDescriptor, servicer: object) -> None:
        """Adds one service.

        Raises:
            ValueError: A method declares no permission.
        """
        for method in service.methods:
            rpc = RpcMethod(
                f"/{service.full_name}/{method.name}",
                message_factory.GetMessageClass(method.input_type),
                server_streaming=method.server_streaming,
                permission=permission_of(method),
            )
            function = getattr(servicer, _snake(method))
            innermost = _streaming(function) if rpc.server_streaming else _unary(function)
            self._methods[rpc.name] = ServedMethod(rpc, chain([*self._steps.of_calls, *self._steps.of_requests], innermost))
        self.services.append(service.full_name)

    def __iter__(self) -> Iterator[ServedMethod]:
        return iter(self._methods.values())

    def get(self, name: str) -> ServedMethod | None:
        """Finds a method by its full name, as in `/antiphon.api.model.v1.ModelService/GetModel`."""
        return self._methods.get(name)

    def unknown(self, name: str) -> ServedMethod:
        """Makes the refusal of a method that is not there; like every call it is counted and logged."""

        async def refuse(call: IncomingCall, send: Send) -> None:
            del call, send
            raise NotFoundError(
                Reason.ERROR_REASON_METHOD_NOT_FOUND, f"there is no method {name[:256]!r}; server reflection lists what is there"
            )

        steps = chain(self._steps.of_calls, refuse)

        def handler(call: IncomingCall, send: Send) -> Awaitable[None]:
            call.facts["called"] = loggable(name)
            return steps(call, send)

        return ServedMethod(_UNKNOWN, handler)

    def refusal(self, method: RpcMethod) -> Refusal | None:
        """Returns how a call is refused before anything of it is read, because the server is full; None when it may come in."""
        admission = self._steps.admission
        return None if admission is None or self.in_flight.draining else admission.refusal(method)

    def standard_steps(self, *, public: bool) -> list[Interceptor]:
        """Returns what calls of a standard service pass, by whether the configuration has it public."""
        return self._steps.of_public_standard_calls if public else self._steps.of_standard_calls

    def arrived(
        self,
        method: RpcMethod,
        metadata: Mapping[str, str],
        *,
        time_left_s: float | None,
        encoding: Encoding = Encoding.PROTO,
        certificate_names: Sequence[str] = (),
        rpc_system: str = "grpc",
        peer: Callable[[], str] | None = None,
        fetch_body: Callable[[], Awaitable[bytes]] | None = None,
    ) -> IncomingCall:
        """Gives a call that has just arrived its id; its request is still to be read."""
        return IncomingCall(
            call_id=f"{self._call_prefix}-{next(self._call_numbers)}",
            method=method,
            metadata=metadata,
            body=b"",
            arrived_s=asyncio.get_running_loop().time(),
            time_left_s=time_left_s,
            encoding=encoding,
            certificate_names=certificate_names,
            rpc_system=rpc_system,
            peer=peer,
            fetch_body=fetch_body,
        )

    async def serve(self, handler: Handler, call: IncomingCall, send: Send) -> Status | None:
        """Runs a call to its end, counted among those in flight; returns the status to close it with, None where it went well."""
        with self.in_flight.entered():
            return await guarded(handler, call, send, self._redactor)


def permission_of(method: MethodDescriptor) -> Permission:
    """Returns what a method's caller needs.

    Raises:
        ValueError: The contract does not say.
    """
    extensions: Any = method.GetOptions().Extensions  # the stubs type an extension as its descriptor alone
    permission: Permission = extensions[permission_pb2.permission]
    if permission == permission_pb2.PERMISSION_UNSPECIFIED:
        raise ValueError(f"{method.full_name} declares no permission; add `option (antiphon.api.core.v1.permission)` to it")
    return permission


def _unary(function: UnaryMethod) -> Handler:
    async def handler(call: IncomingCall, send: Send) -> None:
        await send(await function(call.request, call.to_context()))

    return handler


def _streaming(function: StreamMethod) -> Handler:
    async def handler(call: IncomingCall, send: Send) -> None:
        await function(call.request, call.to_context(), send)

    return handler


def _snake(method: MethodDescriptor) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in method.name).lstrip("_")
