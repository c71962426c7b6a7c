"""One server a module, with a model that can take everything, asked at both its ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
import pytest_asyncio

from tests.rpc.bad_input.ports import PORTS, OnePort
from tests.rpc.bad_input.specs import LIMIT_BYTES
from tests.support.leaks import start_loop_threads
from tests.support.scripted import ALL_CAPABILITIES, SCRIPTED, ScriptedModel, scripted_kinds
from tests.support.serving import ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grpc_server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    """What only gRPC has is asked here."""
    await start_loop_threads()
    settings = {
        **SCRIPTED,
        "server": {"max_request_bytes": LIMIT_BYTES},
    }
    async with serving(tmp_path_factory.mktemp("bad_input"), settings, scripted_kinds(model)) as running:
        await running.channel.channel_ready()
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncGenerator[aiohttp.ClientSession, None]:
    # No connection outlives its request: each test is asked whether it left a socket.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, skip_auto_headers=("Accept-Encoding",)) as opened:
        yield opened


@pytest.fixture(params=PORTS)
def server(request: pytest.FixtureRequest, grpc_server: ServerUnderTest, session: aiohttp.ClientSession) -> OnePort:
    return OnePort(grpc_server, session, request.param)


@pytest.fixture(autouse=True)
def capable(model: ScriptedModel) -> None:
    model.asked.clear()
    model.capabilities = ALL_CAPABILITIES
