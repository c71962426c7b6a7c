"""What is asked over the channel is answered or fails, in time, whatever becomes of the other side."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.workers.channel import Channel, ChannelAnswerError, ChannelClosedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Side:
    """Answers with what it was asked; notes what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    async def answer(self, name: str, value: Any) -> Any:
        self.heard.append((name, value))
        if name == "fail":
            raise ValueError("no such thing")
        if name == "hang":
            await asyncio.Event().wait()
        return value


@asynccontextmanager
async def joined() -> AsyncGenerator[tuple[Channel, Channel, Side]]:
    left, right = socket.socketpair()
    side = Side()
    asking, answering = await Channel.over(left, Side().answer), await Channel.over(right, side.answer)
    try:
        yield asking, answering, side
    finally:
        await asking.close()
        await answering.close()


async def test_answers_find_their_questions() -> None:
    async with joined() as (asking, answering, _):
        values: list[Any] = [1, "two\nlines", {"three": [None]}, "x" * 1_000_000]
        assert values == await asyncio.gather(*(asking.ask("echo", value) for value in values))
        assert "back" == await answering.ask("echo", "back")


async def test_news_need_no_answer() -> None:
    async with joined() as (asking, _, side):
        asking.tell("phase", "ready")
        await asking.ask("echo")
        assert [("phase", "ready"), ("echo", None)] == side.heard


async def test_a_failure_is_told() -> None:
    async with joined() as (asking, _, __):
        with pytest.raises(ChannelAnswerError, match="ValueError: no such thing"):
            await asking.ask("fail")
        assert 1 == await asking.ask("echo", 1)


async def test_a_side_that_hangs_is_not_waited_for() -> None:
    async with joined() as (asking, _, __):
        with pytest.raises(TimeoutError):
            await asking.ask("hang", timeout_s=0.05)
        assert 1 == await asking.ask("echo", 1)


async def test_questions_fail_when_the_other_side_goes() -> None:
    async with joined() as (asking, answering, side):
        waiting = asyncio.create_task(asking.ask("hang"))
        while not side.heard:
            await asyncio.sleep(0)
        await answering.close()
        with pytest.raises(ChannelClosedError):
            await waiting
        await asking.ended.wait()
        with pytest.raises(ChannelClosedError):
            await asking.ask("echo")
        asking.tell("phase", "ready")


@pytest.mark.parametrize("last", [b"", b'{"id": 1, "resu', b'{"id": 99, "result": 1}\n'])
async def test_half_a_frame_is_an_end_and_no_answer(last: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = await Channel.over(ours, Side().answer)
    asked = asyncio.create_task(channel.ask("echo"))
    await asyncio.sleep(0.01)
    theirs.sendall(last)
    theirs.close()
    with pytest.raises(ChannelClosedError):
        await asked
    await channel.close()
