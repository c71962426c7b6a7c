"""The span of each call, from its arrival to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode

from antiphon.calls.outcome import WENT_WELL, outcome_of
from antiphon.telemetry.propagation import remote_context

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from antiphon.calls.call import Handler, IncomingCall, Send
    from antiphon.calls.outcome import Outcome
    from antiphon.telemetry.tracing import Traces

# The codes by which the conventions say that a server failed; by all others its caller did.
_SERVER_FAULTS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
# Asked every few seconds by whoever watches the server; spans of it would bury the others.
_UNTRACED = "/grpc.health.v1."
_FAILED = Status(StatusCode.ERROR)


class Tracing:
    """Gives each call a span by the conventions for RPC, a child of its caller's where it came with one."""

    def __init__(self, traces: Traces, server_address: str, server_port: int) -> None:
        """Makes the step.

        Args:
            traces: What makes spans.
            server_address: Where the server listens, as configured.
            server_port: Its port, 0 where any will do.
        """
        self._traces = traces
        self._served: dict[str, AttributeValue] = {"server.address": server_address}
        if server_port:
            self._served["server.port"] = server_port

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Runs the rest of the chain within the call's span."""
        parent = remote_context(call.metadata)
        trace_id = self._traces.drawn() if parent is None else 0
        if trace_id is None or call.method.name.startswith(_UNTRACED):
            await rest(call, send)
            return
        name, attributes = self._described(call)
        span = (
            self._traces.begin(name, SpanKind.SERVER, attributes, parent)
            if parent is not None
            else self._traces.begin_root(name, SpanKind.SERVER, attributes, trace_id)
        )
        token = contexts.attach(trace.set_span_in_context(span, parent))
        outcome = WENT_WELL
        try:
            await rest(call, send)
        except BaseException as error:
            outcome = outcome_of(error, call)
            raise
        finally:
            contexts.detach(token)
            if span.is_recording():
                _end(span, call, outcome)

    def _described(self, call: IncomingCall) -> tuple[str, dict[str, AttributeValue]]:
        """Returns the name of a call's span and what is known at its begin."""
        method, rpc_system = call.method.name, call.rpc_system
        attributes: dict[str, AttributeValue] = {"rpc.system.name": rpc_system, **self._served}
        if called := call.facts.get("called"):
            name = rpc_system
            attributes |= {"rpc.method": "_OTHER", "rpc.method_original": str(called)}
        else:
            name = attributes["rpc.method"] = method.removeprefix("/")
        if call.peer is not None:
            attributes |= _peer(call.peer())
        return name, attributes


def _end(span: Span, call: IncomingCall, outcome: Outcome) -> None:
    # The id is in errors and in the log.
    attributes: dict[str, AttributeValue] = {"rpc.response.status_code": outcome.code, "antiphon.call_id": call.call_id}
    if outcome is not WENT_WELL:
        attributes["error.type"] = outcome.reason
        if outcome.code in _SERVER_FAULTS:
            span.set_status(_FAILED)
    span.set_attributes(attributes)
    span.end()


def _peer(peer: str) -> dict[str, AttributeValue]:
    """Reads the runtime's name of the other end, as in `ipv4:127.0.0.1:40000` or `ipv6:%5B::1%5D:40000`."""
    family, _, address = peer.partition(":")
    if family not in {"ipv4", "ipv6"}:
        return {}
    host, _, port = unquote(address).rpartition(":")
    return {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)} if port.isdecimal() else {}
