"""Decoding inside the guard: bytes that are no request get a typed error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from antiphon.calls import json_form
from antiphon.calls.call import Encoding
from antiphon.calls.wire_fields import fields_beyond
from antiphon.errors import InvalidRequestError, Reason
from antiphon.event_loop import beside_loop

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from antiphon.calls.call import Handler, IncomingCall, Send

# The longest conversation of the contract, 4,096 turns with a tool call each, has about 29,000. Decoding and checking cost by the field, not by the
# byte: 16 MiB of empty parts would hold the event loop for a minute.
_MOST_FIELDS = 32_768
# The same conversation in JSON has about 33,000 values, and a value in JSON costs some eight times what a field costs.
_MOST_ELEMENTS = 2 * _MOST_FIELDS
_JSON_COST = 8


class Decoding:
    """Bounds and decodes the request."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Sets the call's request.

        Raises:
            InvalidRequestError: It is too large (REQUEST_TOO_LARGE), cannot be decoded (UNDECODABLE_REQUEST), or holds
                what would be dropped in silence (UNKNOWN_FIELD).
        """
        if call.fetch_body is not None:
            call.body = await call.fetch_body()
        size_bytes = len(call.body)
        if size_bytes > self._limit_bytes:
            raise InvalidRequestError(
                Reason.ERROR_REASON_REQUEST_TOO_LARGE,
                f"the request has {size_bytes} bytes; at most {self._limit_bytes} are taken",
                metadata={"size_bytes": str(size_bytes), "limit_bytes": str(self._limit_bytes)},
            )
        if call.encoding is Encoding.JSON:
            decoding = beside_loop(size_bytes * _JSON_COST, _parsed, call.body, call.method.request_type, self._limit_bytes)
        else:
            decoding = beside_loop(size_bytes, _decoded, call.body, call.method.request_type, self._limit_bytes)
        call.request = await decoding
        call.body = b""
        await rest(call, send)


def _decoded(body: bytes, request_type: type[Message], limit_bytes: int) -> Message:
    if fields_beyond(body, request_type, _MOST_FIELDS):
        raise _too_many_fields(body, _MOST_FIELDS, limit_bytes)
    request = request_type()
    try:
        request.ParseFromString(body)
    except (DecodeError, UnicodeDecodeError):
        raise InvalidRequestError(
            Reason.ERROR_REASON_UNDECODABLE_REQUEST, f"the bytes are no {request.DESCRIPTOR.full_name}; send a valid protobuf message"
        ) from None
    size_before = request.ByteSize()
    request.DiscardUnknownFields()
    if request.ByteSize() != size_before:
        raise InvalidRequestError(
            Reason.ERROR_REASON_UNKNOWN_FIELD, "the request holds a field that this server does not know; it is older than the client"
        )
    return request


def _parsed(body: bytes, request_type: type[Message], limit_bytes: int) -> Message:
    if json_form.elements_beyond(body, _MOST_ELEMENTS):
        raise _too_many_fields(body, _MOST_ELEMENTS, limit_bytes)
    return json_form.parse(body, request_type)


def _too_many_fields(body: bytes, limit_fields: int, limit_bytes: int) -> InvalidRequestError:
    return InvalidRequestError(
        Reason.ERROR_REASON_REQUEST_TOO_LARGE,
        f"the request has more than {limit_fields} fields, those of its messages and parts included",
        metadata={"size_bytes": str(len(body)), "limit_bytes": str(limit_bytes), "limit_fields": str(limit_fields)},
    )
