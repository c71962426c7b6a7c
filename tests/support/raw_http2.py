"""A client that speaks just enough HTTP/2 to misbehave: windows of nothing, calls left half open, headers that no library would send."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
# A setting of gRPC's: trailers whose names end in `-bin` may come as they are instead of in base64.
ALLOW_TRUE_BINARY_METADATA = 0xFE03
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass(frozen=True)
class Frame:
    """One frame as it arrived."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class RawConnection:
    """One connection, its bytes in the test's hands."""

    def __init__(self, target: str, *, window: int = 65_535) -> None:
        self._target = target
        self._window = window
        self._next_stream = 1
        self.frames: list[Frame] = []

    async def __aenter__(self) -> Self:
        host, _, port = self._target.rpartition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        settings = struct.pack(">HIHI", INITIAL_WINDOW_SIZE, self._window, ALLOW_TRUE_BINARY_METADATA, 1)
        self.send(_PREFACE + frame(SETTINGS, settings))
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def send(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self._writer.write(data)

    def call(self, method: str, body: bytes | None, headers: Iterable[tuple[str, str]] = (), *, ends: bool = True) -> int:
        """Begins a call and returns its stream; no body means that headers alone are sent."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        fields = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "test"), ("te", "trailers")]
        fields += [("content-type", "application/grpc"), *headers]
        last = END_STREAM if ends else 0
        self.send(frame(HEADERS, hpack(fields), END_HEADERS | (last if body is None else 0), stream))
        if body is not None:
            self.send(frame(DATA, b"\x00" + struct.pack(">I", len(body)) + body, last, stream))
        return stream

    async def until(self, kind: int, stream: int | None = None, *, ended: bool = False, timeout_s: float = 5) -> Frame:
        """Waits for a frame, of a stream where one is given, that ends it where asked."""
        async with asyncio.timeout(timeout_s):
            while True:
                for one in self.frames:
                    if one.kind == kind and stream in {None, one.stream} and (not ended or one.flags & END_STREAM):
                        return one
                if self._reading.done():
                    raise ConnectionError("the server closed the connection")
                await asyncio.sleep(0.005)

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await self._reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                payload = await self._reader.readexactly(length)
                got = Frame(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7FFFFFFF, payload)
                self.frames.append(got)
                if got.kind in {SETTINGS, PING} and not got.flags & ACK:
                    self.send(frame(got.kind, payload if got.kind == PING else b"", ACK))


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """Returns a frame's bytes."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def hpack(fields: Iterable[tuple[str, str]]) -> bytes:
    """Encodes headers as literals, without tables and without Huffman's code."""
    return b"".join(b"\x00" + _literal(name) + _literal(value) for name, value in fields)


def _literal(text: str) -> bytes:
    data = text.encode("latin-1")
    if len(data) < 127:
        return bytes([len(data)]) + data
    rest, size = len(data) - 127, bytearray([127])
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*size, rest]) + data
