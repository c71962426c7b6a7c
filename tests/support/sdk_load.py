"""A light, steady load by the Python SDK with its default retry, and what became of each call."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon_client import AntiphonError, AsyncClient
from tests.simulators.openai import Answer, Delivery, OpenAISimulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.simulators.openai import RecordedRequest

TOKENS = tuple(f"word{number} " for number in range(20))
_UNARY = Answer(tokens=TOKENS, delivery=Delivery(headers_delay_s=0.02))
_STREAMED = Answer(tokens=TOKENS, delivery=Delivery(token_delay_s=0.03))
_TIMEOUT_S = 20.0


@dataclass
class Tally:
    """What became of the calls.

    Attributes:
        unary: Unary calls that went well.
        streams: Streams that came to their end, whole.
        failed_unary: Why others did not, with the time of their ends.
        broken_streams: Likewise.
        longest_s: The longest that a unary call which went well took, retries included.
    """

    unary: int = 0
    streams: int = 0
    failed_unary: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    broken_streams: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    longest_s: float = 0.0


def paced_simulator() -> OpenAISimulator:
    """Makes a provider whose streams take 0.6 s."""

    def respond(record: RecordedRequest) -> Answer:
        return _STREAMED if record.body.get("stream") else _UNARY

    return OpenAISimulator(respond=respond)


@asynccontextmanager
async def sdk_load(target: str, *, unary: int, streams: int, pause_s: float = 0.02) -> AsyncGenerator[Tally]:
    """Makes calls until the context ends; those that are under way then come to their ends.

    Args:
        target: The server.
        unary: How many callers make unary calls, each on a connection of its own.
        streams: How many read streams, likewise.
        pause_s: How long each rests between two calls.
    """
    tally = Tally()
    stop = asyncio.Event()

    async def call(index: int, *, streamed: bool) -> None:
        # Clients of one process would share a connection otherwise, and so a worker.
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with AsyncClient(target, channel_options=options, timeout_s=_TIMEOUT_S) as client:
            await asyncio.sleep(index * pause_s / (unary + streams))
            while not stop.is_set():
                await (_stream(client, tally) if streamed else _unary(client, tally))
                await asyncio.sleep(pause_s)

    callers = [asyncio.create_task(call(index, streamed=index >= unary)) for index in range(unary + streams)]
    try:
        yield tally
    finally:
        stop.set()
        await asyncio.gather(*callers)


async def _unary(client: AsyncClient, tally: Tally) -> None:
    began_s = time.monotonic()
    try:
        completion = await client.completions.create(model="sim/sim-1", messages="Go on.")
    except AntiphonError as error:
        tally.failed_unary.append((time.monotonic(), f"{type(error).__name__} {error}"))
        return
    assert "".join(TOKENS) == completion.text
    tally.unary += 1
    tally.longest_s = max(tally.longest_s, time.monotonic() - began_s)


async def _stream(client: AsyncClient, tally: Tally) -> None:
    stream = client.completions.stream(model="sim/sim-1", messages="Go on.")
    try:
        completion = await stream.final()
    except AntiphonError as error:
        tally.broken_streams.append((time.monotonic(), f"{type(error).__name__} {error}"))
        return
    assert "".join(TOKENS) == completion.text
    tally.streams += 1
