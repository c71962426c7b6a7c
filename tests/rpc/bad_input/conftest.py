"""One server a module, with a model that can take everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.rpc.bad_input.specs import LIMIT_BYTES
from tests.support.leaks import start_loop_threads
from tests.support.scripted import ALL_CAPABILITIES, ScriptedModel, scripted_kinds
from tests.support.serving import ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    await start_loop_threads()
    settings = {
        "providers": {"scripted": {"type": "scripted"}},
        "aliases": {"default": "scripted/alpha"},
        "server": {"max_request_bytes": LIMIT_BYTES},
    }
    async with serving(tmp_path_factory.mktemp("bad_input"), settings, scripted_kinds(model)) as running:
        await running.channel.channel_ready()
        yield running


@pytest.fixture(autouse=True)
def capable(model: ScriptedModel) -> None:
    model.asked.clear()
    model.capabilities = ALL_CAPABILITIES
