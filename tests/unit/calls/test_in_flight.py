"""Calls in progress are counted, waited for within the grace, and cancelled behind it; late calls learn that the server drains."""

from __future__ import annotations

import asyncio
import time

from antiphon.calls.in_flight import InFlight


async def working(calls: InFlight, wait_s: float, seen: list[bool]) -> None:
    with calls.entered():
        seen.append(calls.draining)
        await asyncio.sleep(wait_s)


async def test_calls_are_counted_while_they_last() -> None:
    calls = InFlight()
    tasks = [asyncio.create_task(working(calls, 0.02, [])) for _ in range(3)]
    await asyncio.sleep(0)
    assert 3 == len(calls)
    await asyncio.gather(*tasks)
    assert 0 == len(calls)


async def test_a_call_that_fails_is_not_counted_any_more() -> None:
    calls = InFlight()

    async def failing() -> None:
        with calls.entered():
            raise ValueError("x")

    await asyncio.gather(failing(), return_exceptions=True)
    assert 0 == len(calls)


async def test_draining_waits_for_calls_in_progress_and_tells_late_ones() -> None:
    calls, seen = InFlight(), list[bool]()
    first = asyncio.create_task(working(calls, 0.1, seen))
    await asyncio.sleep(0)
    draining = asyncio.create_task(calls.drain(5))
    await asyncio.sleep(0)
    await working(calls, 0, seen)
    assert not draining.done()
    await draining
    assert ([False, True], True) == (seen, first.done())


async def test_draining_ends_with_its_grace() -> None:
    calls = InFlight()
    task = asyncio.create_task(working(calls, 60, []))
    await asyncio.sleep(0)
    begun_s = time.monotonic()
    await calls.drain(0.05)
    assert 0.04 < time.monotonic() - begun_s < 5
    assert not task.done()
    await calls.cancel()
    assert task.cancelled()
    assert 0 == len(calls)


async def test_cancelling_waits_until_they_have_cleaned_up() -> None:
    calls, cleaned = InFlight(), list[int]()

    async def slow_to_end() -> None:
        with calls.entered():
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.05)
                cleaned.append(1)

    task = asyncio.create_task(slow_to_end())
    await asyncio.sleep(0)
    await calls.cancel()
    assert ([1], True) == (cleaned, task.cancelled())


async def test_a_call_that_will_not_end_does_not_hold_the_shutdown() -> None:
    calls, release = InFlight(), asyncio.Event()

    async def stubborn() -> None:
        with calls.entered():
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await asyncio.wait_for(calls.cancel(timeout_s=0.05), 5)
    assert not task.done()
    release.set()
    await task


async def test_draining_nothing_is_done_at_once() -> None:
    calls = InFlight()
    await asyncio.wait_for(calls.drain(60), 1)
    await asyncio.wait_for(calls.cancel(), 1)
