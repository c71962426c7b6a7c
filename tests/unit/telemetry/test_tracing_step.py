"""A call's span says how the call ended, whatever the caller sent as its context; switched off, tracing is not there at all."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from google.protobuf import empty_pb2
from opentelemetry import baggage, trace

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.permission_pb2 import Permission
from antiphon.calls.call import IncomingCall, RpcMethod
from antiphon.calls.interceptors.tracing import Tracing
from antiphon.errors import AntiphonError, InvalidRequestError, Reason, UnavailableError
from antiphon.telemetry.model_spans import ModelSpans
from antiphon.telemetry.propagation import current_trace, trace_headers
from antiphon.telemetry.tracing import Traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from antiphon.calls.call import Handler, Send
    from antiphon.telemetry.spans import RecordedSpan

METHOD = "/antiphon.api.model.v1.ModelService/GetModel"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Sink:
    def __init__(self) -> None:
        self.spans: list[RecordedSpan] = []

    def take(self, spans: Sequence[RecordedSpan], timeout_s: float) -> None:
        del timeout_s
        self.spans += spans

    def close(self) -> None:
        pass


async def send(message: Message) -> None:
    del message


def arrived(metadata: dict[str, str] | None = None, *, name: str = METHOD, time_left_s: float | None = None) -> IncomingCall:
    method = RpcMethod(name, empty_pb2.Empty, server_streaming=False, permission=Permission.PERMISSION_MODELS_READ)
    now_s = asyncio.get_running_loop().time()
    return IncomingCall("id-1", method, metadata or {}, b"", now_s, time_left_s, peer=lambda: "ipv6:%5B::1%5D:4000")


async def traced(call: IncomingCall, rest: Handler, *, ratio: float = 1.0) -> list[RecordedSpan]:
    """Runs a call through the step, whatever becomes of it; returns the spans."""
    sink = Sink()
    traces = Traces(sink, sample_ratio=ratio, gather_s=0)
    traces.start()
    before = trace.get_current_span()
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await Tracing(traces, "127.0.0.1", 50051)(call, send, rest)
    assert before is trace.get_current_span()
    await traces.close()
    return sink.spans


async def well(call: IncomingCall, send: Send) -> None:
    del call, send


def raising(error: BaseException) -> Handler:
    async def rest(call: IncomingCall, send: Send) -> None:
        del call, send
        raise error

    return rest


@pytest.mark.parametrize(
    ("error", "code", "reason", "failed"),
    [
        (InvalidRequestError(Reason.ERROR_REASON_INVALID_FIELD, "no"), "INVALID_ARGUMENT", "INVALID_FIELD", False),
        (UnavailableError(Reason.ERROR_REASON_SERVER_DRAINING, "no"), "UNAVAILABLE", "SERVER_DRAINING", True),
        (asyncio.CancelledError(), "CANCELLED", "CANCELLED", False),
        (ValueError("unexpected"), "INTERNAL", "INTERNAL", True),
    ],
)
async def test_the_span_says_how_the_call_ended(error: BaseException, code: str, reason: str, failed: bool) -> None:
    [span] = await traced(arrived(), raising(error))
    told = span.attributes["rpc.response.status_code"], span.attributes["error.type"], span.failed
    assert (code, reason, failed) == told
    assert "unexpected" not in str(span.attributes)


async def test_a_cancellation_at_the_deadline_is_the_deadline() -> None:
    call = arrived(time_left_s=0.0)
    [span] = await traced(call, raising(asyncio.CancelledError()))
    assert ("DEADLINE_EXCEEDED", True) == (span.attributes["rpc.response.status_code"], span.failed)


async def test_a_cancellation_before_the_deadline_is_the_callers() -> None:
    [span] = await traced(arrived(time_left_s=60.0), raising(asyncio.CancelledError()))
    assert "CANCELLED" == span.attributes["rpc.response.status_code"]


async def test_the_callers_trace_goes_on() -> None:
    seen: list[object] = []

    async def rest(call: IncomingCall, send: Send) -> None:
        seen.append((dict(trace_headers()), baggage.get_baggage("user"), current_trace()))

    metadata = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=a", "baggage": "user=me"}
    [span] = await traced(arrived(metadata), rest, ratio=0)
    own = f"{span.context.span_id:016x}"
    assert (int(TRACE, 16), int(PARENT, 16), True) == (
        span.context.trace_id,
        span.parent.span_id if span.parent else 0,
        bool(span.parent and span.parent.is_remote),
    )
    assert [({"traceparent": f"00-{TRACE}-{own}-01", "tracestate": "vendor=a"}, "me", (TRACE, own))] == seen


async def test_a_caller_that_decided_against_it_is_passed_on_unrecorded() -> None:
    seen: list[dict[str, str]] = []

    async def rest(call: IncomingCall, send: Send) -> None:
        seen.append(dict(trace_headers()))
        async with ModelSpans(Traces(Sink(), sample_ratio=1), record_content=True).of(
            CompletionSpec(), "p", "m", "id", stream=True
        ) as span:
            assert span is None

    parent = f"00-{TRACE}-{PARENT}-00"
    assert [] == await traced(arrived({"traceparent": parent}), rest)
    assert [{"traceparent": parent}] == seen


@pytest.mark.parametrize(
    "header",
    [
        "",
        "x",
        f"00-{TRACE}-{PARENT}",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01, x",
        "\x00",
        "9" * 8000,
    ],
)
async def test_a_context_that_cannot_be_read_begins_a_new_trace(header: str, caplog: pytest.LogCaptureFixture) -> None:
    [span] = await traced(arrived({"traceparent": header, "tracestate": "=,=", "baggage": "%%%"}), well)
    assert span.parent is None
    assert int(TRACE, 16) != span.context.trace_id
    assert [] == caplog.messages


async def test_a_state_or_baggage_that_cannot_be_read_is_left_out_and_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    metadata = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "=,=", "baggage": "%%%,="}
    [span] = await traced(arrived(metadata), well)
    assert (int(TRACE, 16), False) == (span.context.trace_id, bool(span.context.trace_state))
    assert [] == caplog.messages


async def test_a_call_that_is_not_sampled_has_no_trace() -> None:
    seen: list[object] = []

    async def rest(call: IncomingCall, send: Send) -> None:
        seen.append((dict(trace_headers()), current_trace()))

    assert [] == await traced(arrived(), rest, ratio=0)
    assert [({}, None)] == seen


async def test_health_checks_have_no_spans() -> None:
    assert [] == await traced(arrived(name="/grpc.health.v1.Health/Check"), well)


async def test_an_unknown_method_is_named_after_its_protocol() -> None:
    call = arrived(name="unknown")
    call.facts["called"] = "/nobody.Service/Knows"
    [span] = await traced(call, well)
    assert ("grpc", "_OTHER", "/nobody.Service/Knows") == (span.name, span.attributes["rpc.method"], span.attributes["rpc.method_original"])


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:40000", {"network.peer.address": "127.0.0.1", "network.peer.port": 40000}),
        ("ipv6:%5B::1%5D:40000", {"network.peer.address": "::1", "network.peer.port": 40000}),
        ("unix:/tmp/socket", {}),
        ("ipv4:", {}),
    ],
)
async def test_the_other_end_is_read_as_the_runtime_names_it(peer: str, expected: dict[str, object]) -> None:
    call = arrived()
    call.peer = lambda: peer
    [span] = await traced(call, well)
    assert expected == {name: value for name, value in span.attributes.items() if name.startswith("network.peer")}


@pytest.mark.parametrize(
    ("error", "reason", "failed"),
    [
        (None, "PROVIDER_PROTOCOL_ERROR", True),
        (AntiphonError(Reason.ERROR_REASON_IDLE_TIMEOUT, "no"), "IDLE_TIMEOUT", True),
        (ValueError("unexpected"), "INTERNAL", True),
        (GeneratorExit(), "CANCELLED", False),
    ],
)
async def test_an_exchange_without_its_end_says_why(error: BaseException | None, reason: str, failed: bool) -> None:
    async def rest(call: IncomingCall, send: Send) -> None:
        models = ModelSpans(traces, record_content=False)
        async with models.of(CompletionSpec(), "p", "m", "id", stream=False):
            if error is not None:
                raise error

    sink = Sink()
    traces = Traces(sink, sample_ratio=1, gather_s=0)
    traces.start()
    with contextlib.suppress(Exception, GeneratorExit):
        await Tracing(traces, "::1", 0)(arrived(), send, rest)
    await traces.close()
    [asked] = [span for span in sink.spans if span.name == "chat m"]
    assert (reason, failed) == (asked.attributes["error.type"], asked.failed)


def test_switched_off_nothing_of_the_sdk_is_imported() -> None:
    program = "import sys, antiphon.app, antiphon.cli.serve; print([name for name in sys.modules if name.startswith('opentelemetry.sdk')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert "[]" == done.stdout.strip()


def test_the_sdk_needs_no_opentelemetry() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from antiphon_client import Client\n"
        "Client().close()\n"
        "try:\n    Client(tracing=True)\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert "tracing needs OpenTelemetry; install `antiphon-client[telemetry]`" == done.stdout.strip()
