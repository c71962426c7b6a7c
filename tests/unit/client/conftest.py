"""What the client's tests share: the fake server and a client of each face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from antiphon_client import AsyncClient, Client
from tests.unit.client.fake_server import FakeServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own target and key are nobody's business here."""
    monkeypatch.delenv("ANTIPHON_TARGET", raising=False)
    monkeypatch.delenv("ANTIPHON_API_KEY", raising=False)


@pytest.fixture
def server() -> Generator[FakeServer, None, None]:
    """A running fake server."""
    with FakeServer() as running:
        yield running


@pytest.fixture
async def client(server: FakeServer) -> AsyncGenerator[AsyncClient, None]:
    """An asynchronous client of it."""
    async with AsyncClient(server.target) as connected:
        yield connected


@pytest.fixture
def blocking(server: FakeServer) -> Generator[Client, None, None]:
    """A synchronous client of it."""
    with Client(server.target) as connected:
        yield connected
