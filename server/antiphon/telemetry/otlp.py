"""Spans to a collector: OTLP over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from antiphon.telemetry.span_queue import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antiphon.telemetry.otlp_spans import SpanEncoder
    from antiphon.telemetry.spans import RecordedSpan

_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_DEFAULT_PORT = 4317
# As the specification of OTLP has it; RESOURCE_EXHAUSTED only where the collector says when.
_RETRYABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
# A connection of its own, whatever else this process talks to; lost, it is looked for again soon.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 5_000), ("grpc.enable_retries", 0))


class OtlpSpans:
    """Sends finished spans to a collector. The connection is made at the first of them."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], encoder: SpanEncoder) -> None:
        """Prepares it; nothing is connected yet.

        Args:
            endpoint: The collector, as `http://host:port`, or `https` for TLS.
            headers: What each export carries.
            encoder: Writes the spans.
        """
        self._encoder = encoder
        url = urlsplit(endpoint)
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        self._target = f"{host}:{url.port or _DEFAULT_PORT}"
        self._encrypted = url.scheme == "https"
        self._metadata = tuple(headers.items())
        self._channel: grpc.Channel | None = None
        self._closed = False

    def take(self, spans: Sequence[RecordedSpan], timeout_s: float) -> None:
        """Sends spans.

        Raises:
            ExportError: They did not arrive.
        """
        if self._closed:
            raise ExportError("the server stops", retry=False)
        if self._channel is None:
            self._channel = self._connect()
        channel: Any = self._channel
        export = channel.unary_unary(_METHOD)
        try:
            export(self._encoder.encoded(spans), timeout=timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _failure(error) from None
        except ValueError:  # closed meanwhile
            raise ExportError("the server stops", retry=False) from None

    def close(self) -> None:
        """Closes the connection; an export under way breaks off."""
        self._closed = True
        if self._channel is not None:
            self._channel.close()

    def _connect(self) -> grpc.Channel:
        if self._encrypted:
            return grpc.secure_channel(self._target, grpc.ssl_channel_credentials(), options=_OPTIONS)
        return grpc.insecure_channel(self._target, options=_OPTIONS)


def _failure(error: Any) -> ExportError:
    # What a collector writes into its message may repeat the headers: the code alone is told.
    code: grpc.StatusCode = error.code()
    trailers: dict[str, bytes] = dict(error.trailing_metadata() or ())
    retry_after_s = _retry_after_s(trailers.get("grpc-status-details-bin", b""))
    retry = code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after_s is not None)
    return ExportError(code.name, retry=retry, retry_after_s=retry_after_s)


def _retry_after_s(trailer: bytes) -> float | None:
    retry = RetryInfo()
    for detail in Status.FromString(trailer).details:
        if detail.Unpack(retry):
            return retry.retry_delay.ToTimedelta().total_seconds()
    return None
