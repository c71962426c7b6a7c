"""Spans as OTLP writes them.

The library's own encoder takes more CPU than making the spans does: it makes every attribute's message anew, and a server's spans say the same few
things over and over. Here an attribute's bytes are kept; a message's bytes are those of its fields, one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

from antiphon.telemetry.release import RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.resources import Resource

    from antiphon.telemetry.spans import RecordedSpan

SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0"
_MOST_KEPT = 4096
_KEPT_CHARACTERS = 64
_KEPT_TYPES = (str, bool, int, tuple)
_LOCAL_PARENT = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE_PARENT = _LOCAL_PARENT | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
_FAILED = Status(code=Status.StatusCode.STATUS_CODE_ERROR)
# Field numbers of the messages around spans, as opentelemetry-proto has them.
_RESOURCE_SPANS, _RESOURCE, _SCOPE_SPANS, _SCOPE, _SPANS, _SCHEMA_URL, _ATTRIBUTES = 1, 1, 2, 1, 2, 3, 9


class SpanEncoder:
    """Writes spans, every text of them without secrets."""

    def __init__(self, resource: Resource, redacted: Callable[[str], str]) -> None:
        """Prepares it.

        Args:
            resource: Whose spans they are.
            redacted: Takes the secrets out of a text.
        """
        self._redacted = redacted
        attributes = [KeyValue(key=key, value=self._any_value(value)) for key, value in resource.attributes.items()]
        self._resource = _field(_RESOURCE, resource_pb2.Resource(attributes=attributes).SerializeToString())
        self._scope = _field(_SCOPE, InstrumentationScope(name="antiphon", version=RELEASE).SerializeToString())
        self._kept: dict[tuple[str, type, object], bytes] = {}

    def encoded(self, spans: Sequence[RecordedSpan]) -> bytes:
        """Returns the bytes of an ExportTraceServiceRequest."""
        schema = _field(_SCHEMA_URL, SCHEMA_URL.encode())
        of_scope = b"".join((self._scope, *(_field(_SPANS, self._span(span)) for span in spans), schema))
        return _field(_RESOURCE_SPANS, self._resource + _field(_SCOPE_SPANS, of_scope))

    def _span(self, span: RecordedSpan) -> bytes:
        context, parent = span.context, span.parent
        written = Span(
            trace_id=context.trace_id.to_bytes(16, "big"),
            span_id=context.span_id.to_bytes(8, "big"),
            parent_span_id=b"" if parent is None else parent.span_id.to_bytes(8, "big"),
            flags=context.trace_flags | (_REMOTE_PARENT if parent is not None and parent.is_remote else _LOCAL_PARENT),
            name=self._redacted(span.name),
            kind=span.kind.value + 1,  # pyright: ignore[reportArgumentType]  # OTLP counts the same kinds from one
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns,
        )
        if context.trace_state:
            written.trace_state = context.trace_state.to_header()
        if span.failed:
            written.status.CopyFrom(_FAILED)
        return b"".join((written.SerializeToString(), *(self._attribute(key, value) for key, value in span.attributes.items())))

    def _attribute(self, key: str, value: object) -> bytes:
        kind = type(value)
        # Ids, which no other span has, would only push the others out; so would prompts.
        if kind not in _KEPT_TYPES or (kind is str and (key.endswith((".id", "_id")) or len(cast("str", value)) > _KEPT_CHARACTERS)):
            return self._written(key, value)
        # 1, 1.0 and True are the same key of a dictionary.
        found = self._kept.get((key, kind, value))
        if found is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            found = self._kept[key, kind, value] = self._written(key, value)
        return found

    def _written(self, key: str, value: object) -> bytes:
        return _field(_ATTRIBUTES, KeyValue(key=key, value=self._any_value(value)).SerializeToString())

    def _any_value(self, value: object) -> AnyValue:
        if isinstance(value, bool):
            return AnyValue(bool_value=value)
        if isinstance(value, int):
            return AnyValue(int_value=value)
        if isinstance(value, float):
            return AnyValue(double_value=value)
        if isinstance(value, (tuple, list)):
            return AnyValue(array_value=ArrayValue(values=[self._any_value(one) for one in cast("Sequence[object]", value)]))
        # Half a surrogate, which no message can hold, becomes a question mark.
        return AnyValue(string_value=self._redacted(str(value)).encode("utf-8", "replace").decode())


def _field(number: int, payload: bytes) -> bytes:
    """Writes a field of bytes: its number and kind, its length, itself."""
    head = bytearray((number << 3 | 2,))
    size = len(payload)
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + payload
