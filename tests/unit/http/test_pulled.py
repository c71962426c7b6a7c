"""A handler that pushes is pulled from within one task, and its cancellation, its failure and its end arrive where they belong."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from google.protobuf.wrappers_pb2 import Int32Value
from google.rpc.status_pb2 import Status

from antiphon.http.pulled import Pulled

if TYPE_CHECKING:
    from antiphon.calls.call import Send


class FailedError(Exception):
    pass


def failed(status: Status) -> Exception:
    return FailedError(status.code)


async def test_what_is_sent_is_what_is_pulled_in_the_same_task() -> None:
    tasks: set[object] = set()

    async def run(send: Send) -> Status | None:
        for number in range(3):
            tasks.add(asyncio.current_task())
            await asyncio.sleep(0.001)
            await send(Int32Value(value=number))
        return None

    pulled = Pulled(run, failed)
    assert [Int32Value(value=number) for number in range(3)] == [message async for message in pulled]
    assert {asyncio.current_task()} == tasks
    assert pulled.ended


async def test_a_status_is_raised_behind_the_last_message() -> None:
    async def run(send: Send) -> Status | None:
        await send(Int32Value())
        return Status(code=5)

    pulled = Pulled(run, failed)
    await anext(pulled)
    with pytest.raises(FailedError, match="5"):
        await anext(pulled)


async def test_a_fault_comes_through() -> None:
    async def run(send: Send) -> Status | None:
        raise ZeroDivisionError

    pulled = Pulled(run, failed)
    with pytest.raises(ZeroDivisionError):
        await anext(pulled)
    assert pulled.ended


async def test_a_cancellation_reaches_the_handler_where_it_waits() -> None:
    seen: list[str] = []

    async def run(send: Send) -> Status | None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return None

    task = asyncio.ensure_future(anext(Pulled(run, failed)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["cancelled"] == seen


async def test_closing_cancels_a_handler_that_waits_for_its_message_to_be_taken() -> None:
    seen: list[str] = []

    async def run(send: Send) -> Status | None:
        try:
            await send(Int32Value())
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)  # what is cleaned up may wait
            await send(Int32Value())  # and may even send, to nobody
            return Status(code=10)
        return None

    pulled = Pulled(run, failed)
    await anext(pulled)
    await pulled.aclose()
    await pulled.aclose()
    assert (["cancelled"], 10) == (seen, pulled.status and pulled.status.code)


async def test_closing_before_the_first_step_runs_nothing() -> None:
    async def run(send: Send) -> Status | None:
        raise AssertionError

    await Pulled(run, failed).aclose()


async def test_timeouts_within_the_handler_work() -> None:
    async def run(send: Send) -> Status | None:
        await send(Int32Value())
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        except TimeoutError:
            return Status(code=4)
        return None

    pulled = Pulled(run, failed)
    await anext(pulled)
    with pytest.raises(FailedError, match="4"):
        await anext(pulled)
