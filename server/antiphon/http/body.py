"""Takes a request's message out of its body: bounded while it comes, in time, and once it is unpacked."""

from __future__ import annotations

import asyncio
import base64
import binascii
import zlib
from typing import TYPE_CHECKING

from antiphon.errors import DeadlineError, InvalidRequestError, Reason
from antiphon.event_loop import beside_loop
from antiphon.http.head import Wire

if TYPE_CHECKING:
    from antiphon.http.asgi import Receive
    from antiphon.http.head import Head

RECEIVE_TIMEOUT_S = 60.0
_ENVELOPE = 5
_COMPRESSED = 1
_GZIP = 31
# Compressed bytes become up to a thousand times as many.
_UNPACKING_COST = 64


class Body:
    """One request's body, not yet received.

    Attributes:
        timeout_s: How long it may take to come, in seconds.
    """

    timeout_s = RECEIVE_TIMEOUT_S

    def __init__(self, head: Head, receive: Receive, limit_bytes: int) -> None:
        self._head = head
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._enveloped = head.wire is not Wire.CONNECT_UNARY

    async def message(self) -> bytes:
        """Receives the body and returns the message in it.

        Raises:
            InvalidRequestError: It is too large (REQUEST_TOO_LARGE), or not written as its head says (UNDECODABLE_REQUEST), or its sender
                left (CANCELLED).
            DeadlineError: It did not come in time (DEADLINE_EXCEEDED).
        """
        if self._head.problem is not None:
            raise self._head.problem
        try:
            async with asyncio.timeout(self.timeout_s):
                received = await self._received()
        except TimeoutError:
            raise DeadlineError(
                Reason.ERROR_REASON_DEADLINE_EXCEEDED, f"the request's body did not arrive within {self.timeout_s:g} s"
            ) from None
        compressed = self._head.compressed
        if self._head.wire is Wire.GRPC_WEB_TEXT:
            received = _from_base64(received)
        if self._enveloped:
            flags, received = self._unwrapped(received)
            compressed = bool(flags & _COMPRESSED)
        if compressed and received:
            return await beside_loop(len(received) * _UNPACKING_COST, self._unpacked, received)
        return received

    async def _received(self) -> bytes:
        most = self._limit_bytes + (_ENVELOPE if self._enveloped else 0)
        if self._head.wire is Wire.GRPC_WEB_TEXT:
            most = (most + 2) // 3 * 4
        declared = self._head.content_length
        if declared is not None and declared > most:
            raise self._too_large(declared - (_ENVELOPE if self._enveloped else 0))
        chunks: list[bytes] = []
        size = 0
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise InvalidRequestError(Reason.ERROR_REASON_CANCELLED, "the caller left before its request was here")
            chunk: bytes = event.get("body", b"")
            size += len(chunk)
            if size > most:
                raise self._too_large(size)
            chunks.append(chunk)
            if not event.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _unwrapped(self, received: bytes) -> tuple[int, bytes]:
        """Takes the one message of a body in envelopes."""
        if len(received) < _ENVELOPE:
            raise _malformed("the body holds no message: each is led by a byte of flags and its length in four bytes")
        flags, size = received[0], int.from_bytes(received[1:_ENVELOPE], "big")
        if flags & ~_COMPRESSED or (flags and not self._head.compressed):
            raise _malformed(f"a message's flags are {flags}; 0 is taken, and 1 where a header says that messages are compressed")
        if size > self._limit_bytes:
            raise self._too_large(size)
        if size != len(received) - _ENVELOPE:
            raise _malformed(f"the body holds {len(received) - _ENVELOPE} bytes behind the head of its one message, which says {size}")
        return flags, received[_ENVELOPE:]

    def _unpacked(self, packed: bytes) -> bytes:
        unpacking = zlib.decompressobj(wbits=_GZIP)
        try:
            unpacked = unpacking.decompress(packed, self._limit_bytes + 1)
        except zlib.error:
            raise _malformed("the request is not compressed by gzip, as its head says") from None
        if len(unpacked) > self._limit_bytes:
            raise self._too_large(len(unpacked))
        if not unpacking.eof or unpacking.unused_data:
            raise _malformed("the request's gzip ends too soon or too late")
        return unpacked

    def _too_large(self, size_bytes: int) -> InvalidRequestError:
        return InvalidRequestError(
            Reason.ERROR_REASON_REQUEST_TOO_LARGE,
            f"the request has {size_bytes} bytes or more; at most {self._limit_bytes} are taken",
            metadata={"size_bytes": str(size_bytes), "limit_bytes": str(self._limit_bytes)},
        )


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _malformed("the body is not in base64, as its content type says") from None


def _malformed(message: str) -> InvalidRequestError:
    return InvalidRequestError(Reason.ERROR_REASON_UNDECODABLE_REQUEST, message)
