"""Spans reach their collector, and one that is slow, absent or unwilling neither holds a shutdown nor floods the log nor learns of it what it must not."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import trustme
from opentelemetry.trace import SpanKind

from antiphon.telemetry import span_queue
from antiphon.telemetry.console_spans import ConsoleSpans
from antiphon.telemetry.otlp import OtlpSpans
from antiphon.telemetry.otlp_spans import SpanEncoder
from antiphon.telemetry.span_queue import ExportError, SpanQueue
from antiphon.telemetry.spans import RecordedSpan
from antiphon.telemetry.tracing import Traces, resource
from tests.support.collector import arrived, receiving

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = "collector-secret-0123456789"  # it opens nothing


def plain(text: str) -> str:
    return text


def otlp(endpoint: str) -> OtlpSpans:
    return OtlpSpans(endpoint, {"authorization": f"Bearer {SECRET}"}, SpanEncoder(resource("tested"), plain))


def end_spans(traces: Traces, count: int = 1) -> None:
    for _ in range(count):
        trace_id = traces.drawn()
        assert trace_id is not None
        traces.begin_root("a", SpanKind.SERVER, {}, trace_id).end()


class Sink:
    """Takes spans, or fails to."""

    def __init__(self, *failures: ExportError) -> None:
        self.failures = list(failures)
        self.taken: list[RecordedSpan] = []
        self.asked = 0
        self.closed = False

    def take(self, spans: Sequence[RecordedSpan], timeout_s: float) -> None:
        assert timeout_s > 0
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        self.taken += spans

    def close(self) -> None:
        self.closed = True


async def test_spans_arrive_with_their_headers() -> None:
    async with receiving() as receiver:
        traces = Traces(otlp(receiver.endpoint), sample_ratio=1, gather_s=0.01)
        traces.start()
        end_spans(traces, 3)
        await arrived(receiver, lambda spans: len(spans) == 3)
        await traces.close()
    assert f"Bearer {SECRET}" == receiver.metadata[0]["authorization"]


async def test_https_means_tls(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    key, chain = certificate.private_key_pem.bytes(), b"".join(one.bytes() for one in certificate.cert_chain_pems)
    trusted = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    monkeypatch.setattr(grpc, "ssl_channel_credentials", lambda: trusted)
    async with receiving(grpc.ssl_server_credentials([(key, chain)])) as receiver:
        traces = Traces(otlp(receiver.endpoint), sample_ratio=1, gather_s=0.01)
        traces.start()
        end_spans(traces)
        await arrived(receiver, lambda spans: len(spans) == 1)
        await traces.close()


async def test_a_shutdown_sends_what_is_left() -> None:
    async with receiving() as receiver:
        traces = Traces(otlp(receiver.endpoint), sample_ratio=1, gather_s=60)
        traces.start()
        end_spans(traces, 700)
        await traces.close()
        assert 700 == len(receiver.spans())


async def test_an_export_that_may_work_later_is_made_again(log_entries: list[Any]) -> None:
    async with receiving() as receiver:
        receiver.failing = [grpc.StatusCode.UNAVAILABLE]
        traces = Traces(otlp(receiver.endpoint), sample_ratio=1, gather_s=0.01)
        traces.start()
        end_spans(traces)
        await arrived(receiver, lambda spans: len(spans) == 1)
        await traces.close()
    assert 2 == len(receiver.metadata)
    [line] = log_entries
    assert ("UNAVAILABLE", 0) == (line["cause"], line["lost"])


async def test_an_export_that_is_refused_is_lost_and_told_without_secrets(log_entries: list[Any]) -> None:
    async with receiving() as receiver:
        receiver.failing = [grpc.StatusCode.UNAUTHENTICATED]
        traces = Traces(otlp(receiver.endpoint), sample_ratio=1, gather_s=0.01)
        traces.start()
        end_spans(traces)
        async with asyncio.timeout(10):
            while not log_entries:
                await asyncio.sleep(0.01)
        await traces.close()
    [line] = log_entries
    assert ("UNAUTHENTICATED", 1) == (line["cause"], line["lost"])
    assert "authorization" not in str(log_entries)
    assert SECRET not in str(log_entries)


async def test_an_absent_collector_does_not_hold_a_shutdown(log_entries: list[Any]) -> None:
    traces = Traces(otlp("http://127.0.0.1:1"), sample_ratio=1, gather_s=0.01)
    traces.start()
    end_spans(traces, 5)
    await asyncio.sleep(0.3)
    begun_s = time.monotonic()
    await traces.close()
    # Two seconds for the last spans, and room for a busy machine.
    assert 8 > time.monotonic() - begun_s
    assert 5 == sum(line["lost"] for line in log_entries)


async def test_a_collector_that_never_answers_does_not_hold_a_shutdown() -> None:
    # Connections wait in the listener's queue, and nobody takes them.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    traces = Traces(otlp(f"http://127.0.0.1:{port}"), sample_ratio=1, gather_s=0.01)
    traces.start()
    end_spans(traces)
    await asyncio.sleep(0.2)
    begun_s = time.monotonic()
    await traces.close()
    assert 8 > time.monotonic() - begun_s
    listener.close()


def test_spans_beyond_the_bound_are_dropped_and_counted_once_a_minute(log_entries: list[Any]) -> None:
    sink = Sink(*[ExportError("UNAVAILABLE", retry=False)] * 10)
    queue = SpanQueue(sink, gather_s=0)
    span = RecordedSpan("a", SpanKind.SERVER, 1, None, {}, queue.put)
    for _ in range(10_000):
        queue.put(span)
    queue.start()
    queue.close()
    assert 8192 == len(sink.taken) + 10 * 512
    # One at the first loss, one at the end; a minute lies between others.
    assert 2 == len(log_entries)
    assert 10_000 - len(sink.taken) == sum(line["lost"] for line in log_entries)


def test_the_log_is_told_again_after_a_minute(log_entries: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_queue, "_TOLD_EVERY_S", 0.0)
    sink = Sink(*[ExportError("UNAVAILABLE", retry=False)] * 3)
    queue = SpanQueue(sink, gather_s=0)
    for _ in range(3 * 512):
        queue.put(RecordedSpan("a", SpanKind.SERVER, 1, None, {}, queue.put))
    queue.start()
    queue.close()
    assert [512, 512, 512] == [line["lost"] for line in log_entries]


def test_a_receiver_that_names_a_time_is_asked_again_then() -> None:
    sink = Sink(ExportError("RESOURCE_EXHAUSTED", retry=True, retry_after_s=0.01))
    queue = SpanQueue(sink, gather_s=0)
    queue.put(RecordedSpan("a", SpanKind.SERVER, 1, None, {}, queue.put))
    queue.start()
    until = time.monotonic() + 10
    while not sink.taken and time.monotonic() < until:
        time.sleep(0.01)
    queue.close()
    assert (2, 1, True) == (sink.asked, len(sink.taken), sink.closed)


def test_the_console_shows_a_line_a_span(log_entries: list[Any]) -> None:
    sink = ConsoleSpans()
    span = RecordedSpan("a.B/C", SpanKind.SERVER, 0xAB, None, {"rpc.response.status_code": "OK", "server.port": 1}, lambda _: None)
    span.end()
    sink.take([span], 1)
    sink.close()
    [line] = log_entries
    assert ("span", "a.B/C", "unset", "OK", f"{0xAB:032x}") == (line["event"], line["name"], line["status"], line["code"], line["trace_id"])
    assert "server.port" not in line


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.1, 800, 1200), (1.0, 10_000, 10_000)])
def test_the_ratio_is_kept(ratio: float, least: int, most: int) -> None:
    traces = Traces(Sink(), sample_ratio=ratio)
    assert least <= sum(traces.drawn() is not None for _ in range(10_000)) <= most
