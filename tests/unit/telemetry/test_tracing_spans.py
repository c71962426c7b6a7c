"""A span says what it was told, is written as the OpenTelemetry library writes it, and holds nothing secret and nothing without bound."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.event_pb2 import Completed, Event, PartDelta, ToolCallArgumentsDelta, ToolCallStarted
from antiphon.api.core.v1.message_pb2 import Blob, Citation, Message, Part, Reasoning, Role, ToolCall, ToolResult, Uri
from antiphon.telemetry.otlp_spans import SCHEMA_URL, SpanEncoder
from antiphon.telemetry.release import RELEASE
from antiphon.telemetry.span_content import AnswerContent, input_content
from antiphon.telemetry.spans import RecordedSpan

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = 20261122
REMOTE = SpanContext(7, 8, True, TraceFlags(1), TraceState([("vendor", "a"), ("other", "b")]))
LOCAL = SpanContext(7, 9, False, TraceFlags(1))
RESOURCE = Resource({"service.name": "antiphon", "numbers": (1, 2)})


def made(attributes: dict[str, Any], parent: SpanContext | None = None, kind: SpanKind = SpanKind.SERVER) -> RecordedSpan:
    ended: list[RecordedSpan] = []
    return RecordedSpan("package.Service/Method", kind, 7, parent, attributes, ended.append)


def by_the_library(spans: list[RecordedSpan]) -> ExportTraceServiceRequest:
    scope = InstrumentationScope("antiphon", RELEASE, SCHEMA_URL)
    return encode_spans(
        [
            ReadableSpan(
                name=span.name,
                context=span.context,
                parent=span.parent,
                resource=RESOURCE,
                attributes=span.attributes,
                kind=span.kind,
                instrumentation_scope=scope,
                status=Status(StatusCode.ERROR) if span.failed else Status(),
                start_time=span.start_ns,
                end_time=span.end_ns,
            )
            for span in spans
        ]
    )


def test_spans_are_written_as_the_library_writes_them() -> None:
    draw = random.Random(SEED)
    values: list[Callable[[], Any]] = [
        lambda: draw.choice(("", "OK", "gr\u00fc\u00df", "x" * 300)),
        lambda: draw.randrange(-5, 2**40),
        draw.random,
        lambda: draw.choice((True, False, 1, 0, 1.0)),
        lambda: tuple(draw.choice(("stop", "length")) for _ in range(draw.randrange(3))),
    ]
    spans: list[RecordedSpan] = []
    for number in range(300):
        span = made(
            {f"key.{draw.randrange(5)}": draw.choice(values)() for _ in range(draw.randrange(8))}, (None, REMOTE, LOCAL)[number % 3]
        )
        if number % 4 == 0:
            span.set_status(Status(StatusCode.ERROR))
        span.end()
        spans.append(span)
    encoder = SpanEncoder(RESOURCE, lambda text: text)
    for _ in range(2):  # the second time from what is kept
        ours = ExportTraceServiceRequest.FromString(encoder.encoded(spans))
        theirs = by_the_library(spans)
        for one, span in zip(theirs.resource_spans[0].scope_spans[0].spans, spans, strict=True):
            one.flags |= span.context.trace_flags  # which the library leaves out
            one.ClearField("status") if not one.status.code else None
        assert theirs == ours, f"seed {SEED}"


def test_every_text_passes_through_the_redactor() -> None:
    encoder = SpanEncoder(RESOURCE, lambda text: text.replace("secret", "[redacted]"))
    span = made({"a": "secret", "b.id": "secret-1", "c": ("secret", "x"), "d": "secret" * 50})
    span.update_name("chat secret")
    span.end()
    assert b"secret" not in encoder.encoded([span])


def test_what_is_kept_is_bounded() -> None:
    encoder = SpanEncoder(RESOURCE, lambda text: text)
    for number in range(10_000):
        span = made({"network.peer.port": number})
        span.end()
        encoder.encoded([span])
    assert 4096 >= len(encoder._kept)


def test_half_a_surrogate_does_not_break_an_export() -> None:
    span = made({"rpc.method_original": "\ud800"})
    span.end()
    assert b"?" in SpanEncoder(RESOURCE, lambda text: text).encoded([span])


def test_a_span_ends_once_and_takes_nothing_afterwards() -> None:
    ended: list[RecordedSpan] = []
    span = RecordedSpan("a", SpanKind.SERVER, 7, None, {}, ended.append)
    assert span.is_recording()
    span.set_attribute("a", 1)
    span.set_status(StatusCode.ERROR, "what a caller said")
    span.add_event("kept nowhere")
    span.record_exception(ValueError("what a caller said"))
    span.end()
    span.end()
    span.set_attribute("b", 2)
    assert ([span], {"a": 1}, False, True) == (ended, span.attributes, span.is_recording(), span.failed)


def test_what_a_plugin_adds_is_bounded() -> None:
    span = made({})
    for number in range(1000):
        span.set_attribute(f"key.{number}", number)
    assert 128 == len(span.attributes)


def conversation(*messages: Message) -> CompletionSpec:
    return CompletionSpec(model="m", messages=messages)


def test_every_kind_of_part_is_recorded_and_files_only_by_their_kind() -> None:
    parts = [
        Part(text="Hi"),
        Part(blob=Blob(media_type="image/png", data=b"1234")),
        Part(uri=Uri(uri="https://example.org/a.png")),
        Part(tool_call=ToolCall(call_id="c", name="now", arguments="{}")),
        Part(tool_result=ToolResult(call_id="c", parts=[Part(text="noon")])),
        Part(reasoning=Reasoning(text="hm")),
        Part(citation=Citation(uri="https://example.org/")),
    ]
    found = input_content(conversation(Message(role=Role.ROLE_USER, parts=parts)))
    assert {
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Hi"},{"type":"blob","mime_type":"image/png","size_bytes":4},'
        '{"type":"uri","uri":"https://example.org/a.png"},{"type":"tool_call","id":"c","name":"now","arguments":"{}"},'
        '{"type":"tool_call_response","id":"c","response":"noon"},{"type":"reasoning","content":"hm"},{"type":"citation","uri":"https://example.org/"}]}]'
    } == found


@pytest.mark.parametrize("length", [16_384, 16_385, 1_000_000])
def test_a_prompt_is_cut_and_the_newest_stays(length: int) -> None:
    old, new = Message(role=Role.ROLE_USER, parts=[Part(text="old")]), Message(role=Role.ROLE_USER, parts=[Part(text="n" * length)])
    text = input_content(conversation(old, new))["gen_ai.input.messages"]
    assert "old" not in text
    assert ("\u2026" in text) == (length > 16_384)
    assert 17_000 > len(text)


def test_a_prompt_of_countless_parts_is_cut() -> None:
    message = Message(role=Role.ROLE_USER, parts=[Part(blob=Blob(media_type="a/b", data=b"1"))] * 1000)
    assert 256 == input_content(conversation(message))["gen_ai.input.messages"].count("blob")


def test_an_answer_is_gathered_and_cut() -> None:
    content = AnswerContent()
    assert {} == content.attributes()
    for _ in range(5000):
        content.add(Event(part_delta=PartDelta(index=0, text="words ")))
    content.add(Event(tool_call_started=ToolCallStarted(call_id="c", name="now", index=1)))
    content.add(Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id="c", arguments="{}")))
    content.add(Event(completed=Completed(provider_finish_reason="stop")))
    text = content.attributes()["gen_ai.output.messages"]
    assert 16_384 + 200 > len(text)
    assert 1 == text.count("\u2026")
    assert '"finish_reason":"stop"' in text


def test_a_tool_call_is_gathered() -> None:
    content = AnswerContent()
    content.add(Event(tool_call_started=ToolCallStarted(call_id="c", name="now", index=0)))
    content.add(Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id="c", arguments='{"a":')))
    content.add(Event(tool_call_arguments_delta=ToolCallArgumentsDelta(call_id="c", arguments="1}")))
    [text] = content.attributes().values()
    assert '"arguments":"{\\"a\\":1}"' in text
