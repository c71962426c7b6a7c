"""A provider may keep a stream waiting so long and no longer; a cancellation from outside goes before ours; no timer is left behind."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from antiphon.api.core.v1.event_pb2 import Event, PartDelta
from antiphon.completion.patience import Patience
from antiphon.errors import AntiphonError, DeadlineError, ProviderFailure, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

LONG_S = 30.0


def event() -> list[Event]:
    return [Event(part_delta=PartDelta(text="x"))]


async def batches(*waits_s: float) -> AsyncGenerator[list[Event], None]:
    for wait_s in waits_s:
        await asyncio.sleep(wait_s)
        yield event()


def patience(*, first_s: float = LONG_S, idle_s: float = LONG_S, deadline_s: float | None = None) -> Patience:
    loop = asyncio.get_running_loop()
    return Patience(
        first_token_timeout_s=first_s, idle_timeout_s=idle_s, deadline_s=None if deadline_s is None else loop.time() + deadline_s
    )


async def read_all(waiting: Patience, stream: AsyncGenerator[list[Event], None]) -> int:
    read = 0
    try:
        async with aclosing(stream):
            while True:
                try:
                    await waiting.next(stream)
                except StopAsyncIteration:
                    return read
                read += 1
    finally:
        waiting.close()


async def failed(waiting: Patience, *waits_s: float) -> AntiphonError:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(AntiphonError) as caught:
        await read_all(waiting, batches(*waits_s))
    assert 0 == task.cancelling()
    return caught.value


async def test_a_stream_in_time_is_read_whole() -> None:
    assert 3 == await read_all(patience(first_s=5, idle_s=5, deadline_s=5), batches(0, 0.01, 0.01))


async def test_the_first_token_has_a_limit_of_its_own() -> None:
    failure = await failed(patience(first_s=0.05), LONG_S)
    assert isinstance(failure, ProviderFailure)
    assert (Reason.ERROR_REASON_FIRST_TOKEN_TIMEOUT, {"timeout_ms": "50"}) == (failure.reason, failure.metadata)


async def test_silence_in_mid_stream_has_another() -> None:
    failure = await failed(patience(idle_s=0.05), 0, 0, LONG_S)
    assert isinstance(failure, ProviderFailure)
    assert (Reason.ERROR_REASON_IDLE_TIMEOUT, {"timeout_ms": "50"}) == (failure.reason, failure.metadata)


async def test_a_shorter_limit_after_the_first_token_is_kept() -> None:
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    failure = await failed(patience(first_s=20, idle_s=0.05), 0.01, LONG_S)
    assert Reason.ERROR_REASON_IDLE_TIMEOUT == failure.reason
    assert loop.time() - begun_s < 5


@pytest.mark.parametrize("waits_s", [(LONG_S,), (0, LONG_S), (0.03, 0.03, 0.03, 0.03, 0.03, 0.03)])
async def test_the_deadline_comes_first_where_it_is_nearer(waits_s: tuple[float, ...]) -> None:
    failure = await failed(patience(deadline_s=0.1), *waits_s)
    assert isinstance(failure, DeadlineError)
    assert Reason.ERROR_REASON_DEADLINE_EXCEEDED == failure.reason


async def test_a_deadline_that_is_past_fails_at_once() -> None:
    assert Reason.ERROR_REASON_DEADLINE_EXCEEDED == (await failed(patience(deadline_s=-1), LONG_S)).reason


async def test_only_waiting_counts() -> None:
    waiting = patience(first_s=5, idle_s=0.1)
    async with aclosing(batches(0, 0, 0.02)) as stream:
        await waiting.next(stream)
        await asyncio.sleep(0.3)  # the caller is slow, not the provider
        await waiting.next(stream)
        await asyncio.sleep(0.3)
        await waiting.next(stream)
    waiting.close()


async def test_a_cancellation_from_outside_stays_a_cancellation() -> None:
    task = asyncio.create_task(read_all(patience(first_s=5), batches(LONG_S)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_from_outside_goes_before_ours() -> None:
    waiting = patience(first_s=0.05)

    async def cancelled_from_both_sides() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_later(0.05, task.cancel)
        await read_all(waiting, batches(LONG_S))

    task = asyncio.create_task(cancelled_from_both_sides())
    with pytest.raises((asyncio.CancelledError, ProviderFailure)):
        await task
    # Whichever came first: a task that was cancelled from outside must not go on as if it had not been.
    assert task.cancelled() or task.cancelling() <= 1


async def test_both_at_the_same_turn_of_the_loop_is_a_cancellation() -> None:
    waiting = patience(first_s=LONG_S)
    task = asyncio.create_task(read_all(waiting, batches(LONG_S)))
    await asyncio.sleep(0.01)
    waiting._expires_s = 0
    waiting._fire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_timer_is_left() -> None:
    waiting = patience(first_s=LONG_S)
    await read_all(waiting, batches(0, 0))
    assert None is waiting._timer
    waiting.close()


async def test_one_timer_serves_a_whole_stream() -> None:
    waiting = patience(first_s=LONG_S, idle_s=LONG_S)
    async with aclosing(batches(*[0.0] * 50)) as stream:
        await waiting.next(stream)
        first = waiting._timer
        for _ in range(49):
            await waiting.next(stream)
        assert first is waiting._timer
    waiting.close()


async def test_a_failure_of_the_provider_passes_through() -> None:
    async def failing() -> AsyncGenerator[list[Event], None]:
        yield event()
        raise ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone")

    with pytest.raises(ProviderFailure, match="gone"):
        await read_all(patience(first_s=5), failing())
