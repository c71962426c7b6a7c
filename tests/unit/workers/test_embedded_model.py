"""Workers have the supervisor's embedded model as if it were their own: its address, its failures, its phase."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from antiphon.config import EmbeddedModelSection
from antiphon.errors import Reason, UnavailableError
from antiphon.ports.embedded_model import EngineAddress, EnginePhase
from antiphon.workers.channel import Channel
from antiphon.workers.embedded_model import SharedEmbeddedModel, answer_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

SECTION = EmbeddedModelSection(name="small", context_tokens=512)


class Engine:
    """Implements `EmbeddedModel`, by the test's word."""

    model_id = "small"
    context_window_tokens = 512
    phase = EnginePhase.READY

    def __init__(self, failure: Exception | None = None) -> None:
        self._failure = failure
        self.closed = False

    async def ensure_running(self) -> EngineAddress:
        await self.ping()
        return EngineAddress("http://127.0.0.1:1/v1", "a key")

    async def ping(self) -> None:
        await asyncio.sleep(0)
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        self.closed = True


@asynccontextmanager
async def shared(engine: Engine) -> AsyncGenerator[tuple[SharedEmbeddedModel, Channel]]:
    async def answer(name: str, _: Any) -> Any:
        return await answer_for(engine, name)

    async def nothing(_: str, __: Any) -> None:
        await asyncio.sleep(0)

    left, right = socket.socketpair()
    worker, supervisor = await Channel.over(left, nothing), await Channel.over(right, answer)
    try:
        yield SharedEmbeddedModel(SECTION, worker, EnginePhase.IDLE), supervisor
    finally:
        await worker.close()
        await supervisor.close()


async def test_the_address_and_the_key_come_from_the_supervisor() -> None:
    async with shared(Engine()) as (model, _):
        assert EngineAddress("http://127.0.0.1:1/v1", "a key") == await model.ensure_running()
        await model.ping()
        assert ("small", 512, EnginePhase.IDLE) == (model.model_id, model.context_window_tokens, model.phase)


@pytest.mark.parametrize("retry_after_s", [None, 2.5])
async def test_a_refusal_comes_as_it_was_given(retry_after_s: float | None) -> None:
    refusal = UnavailableError(Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE, "install it", retry_after_s=retry_after_s)
    async with shared(Engine(refusal)) as (model, _):
        for asked in (model.ensure_running(), model.ping()):
            with pytest.raises(UnavailableError) as caught:
                await asked
            assert (refusal.reason, "install it", retry_after_s) == (caught.value.reason, caught.value.message, caught.value.retry_after_s)


@pytest.mark.parametrize("goes", [True, False], ids=["gone", "at fault"])
async def test_without_an_answer_the_model_is_unavailable(goes: bool) -> None:
    async with shared(Engine(RuntimeError("a fault"))) as (model, supervisor):
        if goes:
            await supervisor.close()
        with pytest.raises(UnavailableError) as caught:
            await model.ensure_running()
        assert Reason.ERROR_REASON_EMBEDDED_MODEL_UNAVAILABLE == caught.value.reason
        assert "fault" not in caught.value.message


async def test_one_worker_that_closes_leaves_it_to_the_others() -> None:
    engine = Engine()
    async with shared(engine) as (model, _):
        await model.close()
        assert not engine.closed
        await model.ensure_running()
