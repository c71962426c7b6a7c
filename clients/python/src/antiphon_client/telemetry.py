"""Spans of this client's calls, by the OpenTelemetry API: `Client(tracing=True)`. Without the extra `antiphon-client[telemetry]`, nothing here is imported.

Why not the interceptors of `opentelemetry-instrumentation-grpc` alone: with grpc.aio they never end the span of a call that is cancelled, nor that of a
stream that is left, so that the server's spans have a parent which nobody has seen. They can be used beside or instead of these: this client's channels
are ordinary ones.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from antiphon_client.errors import AntiphonError

try:
    from opentelemetry import context as contexts
    from opentelemetry import propagate, trace
    from opentelemetry.trace.status import Status, StatusCode
except ImportError as missing:  # pragma: no cover  # the extra is there where tests run
    raise ImportError("tracing needs OpenTelemetry; install `antiphon-client[telemetry]`") from missing

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from opentelemetry.trace import Span, TracerProvider

_HOST_AND_PORT = re.compile(r"(?:dns:(?://[^/]*/)?)?(\[[^\]]+\]|[^:/,]+):(\d+)")


class CallTracer:
    """Makes the spans of one client."""

    def __init__(self, provider: TracerProvider | None, target: str, version: str) -> None:
        """Prepares it.

        Args:
            provider: Where the spans go; None takes the process's own provider.
            target: The server's gRPC target.
            version: This client's version.
        """
        self._tracer = trace.get_tracer("antiphon_client", version, provider, schema_url="https://opentelemetry.io/schemas/1.45.0")
        found = _HOST_AND_PORT.fullmatch(target)
        self._server: dict[str, str | int] = (
            {"server.address": found[1].strip("[]"), "server.port": int(found[2])} if found else {"server.address": target}
        )

    def begin(self, path: str) -> CallSpan:
        """Begins the span of a call, retries included, by the method's path."""
        method = path.removeprefix("/")
        attributes = {"rpc.system.name": "grpc", "rpc.method": method, **self._server}
        return CallSpan(
            self._tracer.start_span(
                method, kind=trace.SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
            )
        )


class CallSpan:
    """The span of one call; ends once.

    Attributes:
        metadata: What the call carries so that the server continues the trace.
    """

    def __init__(self, span: Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        propagate.inject(carrier, trace.set_span_in_context(span, contexts.get_current()))
        self.metadata = tuple((key.lower(), value) for key, value in carrier.items())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Ends it as the call ended."""
        if not self._span.is_recording():
            return
        code, reason = _told(error)
        self._span.set_attribute("rpc.response.status_code", code)
        if code != "OK":
            self._span.set_attribute("error.type", reason)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _told(error: BaseException | None) -> tuple[str, str]:
    if error is None:
        return "OK", ""
    if isinstance(error, AntiphonError):
        return error.code.name, error.reason or error.code.name
    if isinstance(error, (asyncio.CancelledError, KeyboardInterrupt)):
        return "CANCELLED", "CANCELLED"
    return "UNKNOWN", type(error).__qualname__
