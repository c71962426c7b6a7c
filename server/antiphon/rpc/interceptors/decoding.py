"""Decoding inside the guard: bytes that are no request get a typed error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from antiphon.errors import InvalidRequestError, Reason

if TYPE_CHECKING:
    from antiphon.rpc.call import Handler, IncomingCall, Send


class Decoding:
    """Bounds and decodes the request."""

    def __init__(self, *, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes

    async def __call__(self, call: IncomingCall, send: Send, rest: Handler) -> None:
        """Sets the call's request.

        Raises:
            InvalidRequestError: It is too large (REQUEST_TOO_LARGE) or cannot be decoded (UNDECODABLE_REQUEST).
        """
        size_bytes = len(call.body)
        if size_bytes > self._limit_bytes:
            raise InvalidRequestError(
                Reason.ERROR_REASON_REQUEST_TOO_LARGE,
                f"the request has {size_bytes} bytes; at most {self._limit_bytes} are taken",
                metadata={"size_bytes": str(size_bytes), "limit_bytes": str(self._limit_bytes)},
            )
        request = call.method.request_type()
        try:
            request.ParseFromString(call.body)
        except (DecodeError, UnicodeDecodeError):
            raise InvalidRequestError(
                Reason.ERROR_REASON_UNDECODABLE_REQUEST, f"the bytes are no {request.DESCRIPTOR.full_name}; send a valid protobuf message"
            ) from None
        call.request = request
        call.body = b""
        await rest(call, send)
