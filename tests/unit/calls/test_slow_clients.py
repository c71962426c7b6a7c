"""A stream whose reader stays away is ended after the limit, and nobody else's: not a slow provider's, not one that the caller cancelled."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.calls.slow_clients import SlowClient, SlowClients
from antiphon.errors import Reason, SlowReaderError

TIMEOUT_S = 0.08


class Stream:
    """One stream: writes messages to a reader who may stay away."""

    def __init__(self, readers: SlowClients) -> None:
        self._readers = readers
        self.taking = asyncio.Event()
        self.reader: SlowClient | None = None
        self.taken = 0

    async def serve(self, messages: int, *, provider_s: float = 0) -> None:
        with self._readers.watching() as self.reader:
            for number in range(messages):
                await asyncio.sleep(provider_s)
                await self._send(f"message {number}")

    async def _send(self, message: str) -> None:
        assert self.reader is not None
        self.reader.awaited_for = message
        try:
            await self.taking.wait()
        except asyncio.CancelledError:
            self.reader.raise_if_evicted()
            raise
        self.reader.awaited_for = None
        self.taken += 1


async def test_a_reader_who_stays_away_is_told_and_the_stream_ends() -> None:
    readers = SlowClients(TIMEOUT_S)
    stream = Stream(readers)
    begun_s = asyncio.get_running_loop().time()
    with pytest.raises(SlowReaderError) as caught:
        await asyncio.wait_for(asyncio.create_task(stream.serve(3)), 10)
    assert asyncio.get_running_loop().time() - begun_s >= TIMEOUT_S
    assert (Reason.ERROR_REASON_SLOW_READER, {"timeout_ms": "80"}) == (caught.value.reason, caught.value.metadata)
    assert 0 == len(readers)


async def test_a_slow_provider_is_not_the_readers_fault() -> None:
    readers = SlowClients(TIMEOUT_S)
    stream = Stream(readers)
    stream.taking.set()
    await stream.serve(2, provider_s=TIMEOUT_S * 3)
    assert 2 == stream.taken


async def test_a_reader_who_takes_one_message_in_time_begins_anew() -> None:
    readers = SlowClients(TIMEOUT_S * 3)
    stream = Stream(readers)
    task = asyncio.create_task(stream.serve(5))
    for _ in range(5):
        await asyncio.sleep(TIMEOUT_S)
        stream.taking.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stream.taking.clear()
    await asyncio.wait_for(task, 10)
    assert 5 == stream.taken


async def test_a_caller_who_cancels_is_cancelled_and_not_told_of_slowness() -> None:
    readers = SlowClients(TIMEOUT_S)
    task = asyncio.create_task(Stream(readers).serve(3))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 0 == len(readers)


async def test_a_cancellation_beside_the_eviction_wins() -> None:
    readers = SlowClients(TIMEOUT_S)
    stream = Stream(readers)
    task = asyncio.create_task(stream.serve(3))
    await asyncio.sleep(0)
    assert stream.reader is not None
    stream.reader.look(0)
    stream.reader.look(TIMEOUT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_looking_ends_with_the_last_stream_and_begins_with_the_next() -> None:
    readers = SlowClients(TIMEOUT_S)
    for _ in range(2):
        stream = Stream(readers)
        stream.taking.set()
        await stream.serve(1)
        await asyncio.sleep(TIMEOUT_S)
        assert not readers._looking
    with pytest.raises(SlowReaderError):
        await asyncio.wait_for(asyncio.create_task(Stream(readers).serve(1)), 10)
