"""What the command line's tests share: a fake server, and a terminal to run the program in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.cli.terminal import Terminal
from tests.unit.client.fake_server import FakeServer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The developer's own settings are nobody's business here."""
    for name in ("ANTIPHON_TARGET", "ANTIPHON_API_KEY", "ANTIPHON_CONFIG", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[FakeServer, None, None]:
    """A running fake server, which the command line takes for its own."""
    with FakeServer() as running:
        monkeypatch.setenv("ANTIPHON_TARGET", running.target)
        yield running


@pytest.fixture
def open_terminal() -> Generator[Callable[..., Terminal], None, None]:
    """Runs the program in a pseudo-terminal; ends what is left of it."""
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()
