"""One real server with the embedded model serves every test of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.real_server import RealServer, real_server

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RealServer]:
    """Runs `antiphon serve` on embedded defaults."""
    with real_server(tmp_path_factory.mktemp("embedded")) as running:
        yield running
