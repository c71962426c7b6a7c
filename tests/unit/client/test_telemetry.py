"""With `tracing`, each call has one span, retries included, that says how it ended, and the server gets its context; without, nothing is made."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc
import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from antiphon_client import AntiphonError, AsyncClient, Client
from antiphon_client.telemetry import CallTracer
from tests.unit.client.fake_server import Failure, FakeServer, Hang, events, text_part

if TYPE_CHECKING:
    from collections.abc import Generator

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE)


class Spans:
    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def finished(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def told(self) -> list[tuple[str, object, str]]:
        return [
            (span.name.rpartition("/")[2], (span.attributes or {}).get("rpc.response.status_code"), span.status.status_code.name)
            for span in self.finished()
        ]


@pytest.fixture
def spans() -> Generator[Spans]:
    made = Spans()
    yield made
    made.provider.shutdown()


def traceparent(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{span.context.trace_flags:02x}"


async def test_calls_of_the_asynchronous_face(server: FakeServer, spans: Spans) -> None:
    server.will("GetModel", UNAVAILABLE)
    server.will("Complete", Failure(grpc.StatusCode.INVALID_ARGUMENT), Hang())
    server.will("StreamComplete", [*events(*text_part("a")), Hang()], [*events(*text_part("a")), UNAVAILABLE])
    async with AsyncClient(server.target, tracing=spans.provider) as client:
        await client.models.get("acme/large")
        with contextlib.suppress(AntiphonError):
            await client.completions.create(model="m", messages="Hi")
        leaving = asyncio.create_task(client.completions.create(model="m", messages="Hi"))
        while len(server.calls) < 4:
            await asyncio.sleep(0.01)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        async for _ in client.completions.stream(model="m", messages="Hi").text_stream():
            break
        with contextlib.suppress(AntiphonError):
            await client.completions.stream(model="m", messages="Hi").final()
        await client.completions.stream(model="m", messages="Hi").final()
    assert [
        ("GetModel", "OK", "UNSET"),
        ("Complete", "INVALID_ARGUMENT", "ERROR"),
        ("Complete", "CANCELLED", "ERROR"),
        ("StreamComplete", "CANCELLED", "ERROR"),
        ("StreamComplete", "UNAVAILABLE", "ERROR"),
        ("StreamComplete", "OK", "UNSET"),
    ] == spans.told()
    first = spans.finished()[0]
    # Both attempts are the one call's.
    assert [traceparent(first)] * 2 == [call.metadata["traceparent"] for call in server.calls[:2]]


def test_calls_of_the_synchronous_face(server: FakeServer, spans: Spans) -> None:
    server.will("Complete", Failure(grpc.StatusCode.INVALID_ARGUMENT))
    server.will("StreamComplete", [*events(*text_part("a")), Hang()], [*events(*text_part("a")), UNAVAILABLE])
    with Client(server.target, tracing=spans.provider) as client:
        client.models.get("acme/large")
        with contextlib.suppress(AntiphonError):
            client.completions.create(model="m", messages="Hi")
        for _ in client.completions.stream(model="m", messages="Hi").text_stream():
            break
        with contextlib.suppress(AntiphonError):
            client.completions.stream(model="m", messages="Hi").final()
        client.completions.stream(model="m", messages="Hi").final()
    assert [
        ("GetModel", "OK", "UNSET"),
        ("Complete", "INVALID_ARGUMENT", "ERROR"),
        ("StreamComplete", "CANCELLED", "ERROR"),
        ("StreamComplete", "UNAVAILABLE", "ERROR"),
        ("StreamComplete", "OK", "UNSET"),
    ] == spans.told()
    assert [traceparent(span) for span in spans.finished()] == [call.metadata["traceparent"] for call in server.calls]


async def test_a_call_stands_under_the_current_span(server: FakeServer, spans: Spans) -> None:
    async with AsyncClient(server.target, tracing=spans.provider) as client:
        with trace.get_tracer("tested", tracer_provider=spans.provider).start_as_current_span("outer") as outer:
            await client.models.get("acme/large")
    inner = spans.finished()[0]
    assert inner.parent is not None
    assert outer.get_span_context().span_id == inner.parent.span_id
    assert {
        "rpc.system.name": "grpc",
        "rpc.method": "antiphon.api.model.v1.ModelService/GetModel",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "rpc.response.status_code": "OK",
    } == dict(inner.attributes or {})


async def test_untraced_calls_carry_nothing(server: FakeServer, client: AsyncClient) -> None:
    await client.models.get("acme/large")
    assert "traceparent" not in server.calls[0].metadata


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("[::1]:50051", {"server.address": "::1", "server.port": 50051}),
        ("dns:///example.org:443", {"server.address": "example.org", "server.port": 443}),
        ("unix:/tmp/socket", {"server.address": "unix:/tmp/socket"}),
    ],
)
def test_the_server_is_named(target: str, expected: dict[str, object], spans: Spans) -> None:
    with contextlib.suppress(ValueError), CallTracer(spans.provider, target, "0").begin("/a.B/C") as span:
        span.end(ValueError("no such thing"))
        raise ValueError
    [made] = spans.finished()
    attributes = dict(made.attributes or {})
    assert expected == {name: value for name, value in attributes.items() if name.startswith("server.")}
    assert ("UNKNOWN", "ValueError") == (attributes["rpc.response.status_code"], attributes["error.type"])
