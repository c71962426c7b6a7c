"""What a worker tells the supervisor, whose log knows no secret by name, holds none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from unittest.mock import Mock

import pytest
import yaml
from pydantic import SecretStr  # noqa: TC002  # the model looks its types up

from antiphon.config import load_with_text
from antiphon.plugins import ProviderSettings, ProviderType
from antiphon.workers import worker as module
from antiphon.workers.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "correct horse battery staple"  # looks like no credential, so only who knows it finds it


class Settings(ProviderSettings):
    """Settings with a secret."""

    api_key: SecretStr


def failing(error: type[Exception]) -> dict[str, ProviderType]:
    def build(name: str, settings: Any, tools: object) -> Any:
        del name, tools
        raise error(f"no such key: {settings.api_key.get_secret_value()}")

    return {"odd": ProviderType(name="odd", settings=Settings, build=build)}


@pytest.fixture(params=[ValueError, OSError])
def kinds(request: pytest.FixtureRequest) -> dict[str, ProviderType]:
    return failing(request.param)


@pytest.fixture
def text(tmp_path: Path, kinds: dict[str, ProviderType]) -> str:
    file = tmp_path / "antiphon.yaml"
    file.write_text(yaml.safe_dump({"providers": {"one": {"type": "odd", "api_key": SECRET}}, "aliases": {}}), encoding="utf-8")
    return load_with_text(kinds, file=file)[1]


async def test_a_failure_to_serve_is_told_without_secrets(
    kinds: dict[str, ProviderType], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Neither the process's log nor a thread for it is what is looked at here.
    monkeypatch.setattr(module, "configure_logs", Mock())
    monkeypatch.setattr(module, "LogWriter", Mock())
    worker = Worker(kinds)
    worker._channel = cast("Any", None)
    told = {"worker": 0, "text": text, "host": "127.0.0.1", "grpc_port": 0, "http_port": 0, "phase": "idle"}
    answer = await worker._serve(told)
    assert (True, False) == ("no such key: [redacted]" in answer["refused"], SECRET in str(answer))
