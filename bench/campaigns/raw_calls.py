"""Calls by hand-made HTTP/2 frames: a client that costs so little that it can offer several times what a server can take."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.raw_http2 import (
    ACK,
    ALLOW_TRUE_BINARY_METADATA,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    hpack,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_WINDOW = 2**24
_MAX_CONCURRENT_STREAMS = 3


@dataclass(slots=True)
class Tally:
    """What became of calls.

    Attributes:
        answered: How many were answered.
        refused: How many ended without an answer.
        latencies_s: How long each of the answered took, in seconds.
        refusal_s: The same of the refused.
    """

    answered: int = 0
    refused: int = 0
    latencies_s: list[float] = field(default_factory=list[float])
    refusal_s: list[float] = field(default_factory=list[float])

    def copy(self) -> Tally:
        """Returns what it holds now."""
        return Tally(self.answered, self.refused, list(self.latencies_s), list(self.refusal_s))


@dataclass(frozen=True, slots=True)
class Offer:
    """What is called.

    Attributes:
        target: The server's `host:port`.
        method: The full method name.
        body: The request.
        connections: Over how many connections.
    """

    target: str
    method: str
    body: bytes
    connections: int = 4


class RawCalls(asyncio.Protocol):
    """One connection that makes the same call again and again.

    It heeds the server's limit on streams, as every client does: what is beyond it waits here. What came of a call is told by its frames alone: an answer
    has a message, a refusal none.

    Attributes:
        waiting: Calls that wait for a free stream.
        last_s: When each stream in progress last brought something; None where nobody wants to know.
        gaps_s: The times between that and the next, in seconds.
        told: The closing headers of the calls that ended.
    """

    def __init__(self, method: str, body: bytes, tally: Tally, window: int = _WINDOW) -> None:
        fields = [(":method", "POST"), (":scheme", "http"), (":path", method), (":authority", "bench"), ("te", "trailers")]
        self._head = hpack([*fields, ("content-type", "application/grpc")])
        self._message = b"\x00" + struct.pack(">I", len(body)) + body
        self._tally = tally
        self._window = window
        self._next_stream = 1
        self._open: dict[int, tuple[float, Callable[[bool], None] | None]] = {}
        self._with_message: set[int] = set()
        self._most_streams = 2**31
        self._pending = b""
        self._taken = 0
        self.last_s: dict[int, float] | None = None
        self.gaps_s: list[float] = []
        self.told: list[bytes] = []
        self.waiting: deque[tuple[float, Callable[[bool], None] | None]] = deque()
        self.lost = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, target: str, method: str, body: bytes, tally: Tally, window: int = _WINDOW) -> RawCalls:
        """Opens a connection.

        Args:
            target: The server's `host:port`.
            method: The full method name.
            body: The request.
            tally: Where its calls are counted.
            window: What each stream may bring before the server has to wait, in bytes.
        """
        host, _, port = target.rpartition(":")
        _, protocol = await asyncio.get_running_loop().create_connection(lambda: cls(method, body, tally, window), host, int(port))
        # The server's settings come at once; its limit on streams is among them.
        await asyncio.sleep(0.1)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says hello."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        settings = struct.pack(">HIHI", INITIAL_WINDOW_SIZE, self._window, ALLOW_TRUE_BINARY_METADATA, 1)
        transport.write(_PREFACE + frame(SETTINGS, settings) + frame(WINDOW_UPDATE, struct.pack(">I", _WINDOW)))

    def connection_lost(self, exc: Exception | None) -> None:
        """Notes the end."""
        del exc
        if not self.lost.done():
            self.lost.set_result(None)

    def read_on(self) -> None:
        """Lets every stream in progress bring much more."""
        self._transport.write(b"".join(frame(WINDOW_UPDATE, struct.pack(">I", _WINDOW), 0, stream) for stream in self._open))

    def close(self) -> None:
        """Closes the connection; calls in progress break off."""
        self._transport.close()

    def call(self, done: Callable[[bool], None] | None = None) -> None:
        """Makes a call.

        Args:
            done: Is told at its end whether it was answered.
        """
        self.waiting.append((time.perf_counter(), done))
        self._begin()

    def _begin(self) -> None:
        while self.waiting and len(self._open) < self._most_streams:
            self._open[self._next_stream] = self.waiting.popleft()
            stream = self._next_stream
            self._next_stream += 2
            self._transport.write(frame(HEADERS, self._head, END_HEADERS, stream) + frame(DATA, self._message, END_STREAM, stream))

    def data_received(self, data: bytes) -> None:
        """Takes frames."""
        data = self._pending + data
        at, end = 0, len(data)
        while end - at >= 9:
            length = int.from_bytes(data[at : at + 3], "big")
            if end - at < 9 + length:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            if kind == DATA:
                self._with_message.add(stream)
                self._taken += length
                if self.last_s is not None:
                    self._gap(self.last_s, stream)
            elif kind in {SETTINGS, PING, GOAWAY}:
                self._heed(kind, flags, data[at + 9 : at + 9 + length])
            if (kind in {DATA, HEADERS} and flags & END_STREAM) or kind == RST_STREAM:
                if self.last_s is not None and kind == HEADERS:
                    self.told.append(data[at + 9 : at + 9 + length])
                self._ended(stream)
            at += 9 + length
        self._pending = data[at:]
        if self._taken > _WINDOW // 2:
            self._transport.write(frame(WINDOW_UPDATE, struct.pack(">I", self._taken)))
            self._taken = 0

    def _gap(self, last_s: dict[int, float], stream: int) -> None:
        now_s = time.perf_counter()
        if stream in last_s:
            self.gaps_s.append(now_s - last_s[stream])
        last_s[stream] = now_s

    def _heed(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == GOAWAY or flags & ACK:
            return
        if kind == SETTINGS:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == _MAX_CONCURRENT_STREAMS:
                    self._most_streams = value
        self._transport.write(frame(kind, payload if kind == PING else b"", ACK))

    def _ended(self, stream: int) -> None:
        begun = self._open.pop(stream, None)
        if begun is None:
            return
        took_s = time.perf_counter() - begun[0]
        answered = stream in self._with_message
        self._with_message.discard(stream)
        if answered:
            self._tally.answered += 1
            self._tally.latencies_s.append(took_s)
        else:
            self._tally.refused += 1
            self._tally.refusal_s.append(took_s)
        if begun[1] is not None:
            begun[1](answered)
        self._begin()


class _Caller:
    """Calls, and when the call has ended, calls again: at once, or after a refusal when it was asked to."""

    def __init__(self, connection: RawCalls, wait_s: Callable[[int], float] | None) -> None:
        self._connection = connection
        self._wait_s = wait_s
        self._refusals = 0
        self.running = True

    def call(self) -> None:
        if self.running:
            self._connection.call(self._ended)

    def _ended(self, answered: bool) -> None:  # noqa: FBT001  # a callback
        self._refusals = 0 if answered else self._refusals + 1
        if answered or self._wait_s is None:
            self.call()
        else:
            asyncio.get_running_loop().call_later(self._wait_s(self._refusals), self.call)


async def closed_loop(offer: Offer, *, callers: int, lasts_s: float, wait_s: Callable[[int], float] | None = None) -> tuple[Tally, float]:
    """Has so many callers call one after the other; returns what became of the calls, and the time that it took.

    Args:
        offer: What is called.
        callers: How many callers.
        lasts_s: How long, in seconds.
        wait_s: Draws how long to wait after so many refusals in a row, in seconds; None: nobody waits.
    """
    async with _opened(offer) as (connections, tally):
        begun_s = time.perf_counter()
        calling = [_Caller(connections[number % len(connections)], wait_s) for number in range(callers)]
        for caller in calling:
            caller.call()
        await asyncio.sleep(lasts_s)
        for caller in calling:
            caller.running = False
        return tally.copy(), time.perf_counter() - begun_s


async def open_loop(offer: Offer, *, rate: float, lasts_s: float) -> tuple[Tally, float]:
    """Makes calls at a rate, whatever becomes of them; returns likewise."""
    async with _opened(offer) as (connections, tally):
        begun_s = time.perf_counter()
        made = 0
        while (now_s := time.perf_counter() - begun_s) < lasts_s:
            while made < now_s * rate:
                connections[made % len(connections)].call()
                made += 1
            await asyncio.sleep(0.002)
        return tally.copy(), time.perf_counter() - begun_s


@contextlib.asynccontextmanager
async def _opened(offer: Offer) -> AsyncGenerator[tuple[list[RawCalls], Tally]]:
    tally = Tally()
    connections = [await RawCalls.connect(offer.target, offer.method, offer.body, tally) for _ in range(offer.connections)]
    try:
        yield connections, tally
    finally:
        for connection in connections:
            connection.close()
