"""The supervisor shares one start, gives typed errors, and backs off after repeated crashes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from antiphon.embedded import model_config, model_process, model_supervisor
from antiphon.embedded.model_config import EmbeddedModelConfig, ModelFiles, locate_model_files
from antiphon.embedded.model_errors import (
    EmbeddedModelBackingOff,
    EmbeddedModelClosed,
    EmbeddedModelCrashed,
    EmbeddedModelStartTimeout,
    EmbeddedModelUnavailable,
)
from antiphon.embedded.model_supervisor import EmbeddedModelSupervisor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_READY = """
import http.server, sys, threading
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
settings = sys.stdin.readline()
print('{"event": "loading"}', flush=True)
print('a line', file=sys.stderr, flush=True)
server = http.server.HTTPServer(("127.0.0.1", 0), Health)
threading.Thread(target=server.serve_forever, daemon=True).start()
print('{"event": "ready", "port": %d}' % server.server_port, flush=True)
sys.stdin.read()
"""
_SILENT = """
import sys
print('{"event": "ready", "port": 9}', flush=True)
sys.stdin.read()
"""
_CRASH = "import sys; print('out of luck', file=sys.stderr); sys.exit(5)"
_STUCK = "import time; time.sleep(50)"
_FAILED = """print('{"event": "failed", "message": "bad weights"}', flush=True)"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the child by a script, and the weights by nothing."""

    def locate(_: Path | None) -> ModelFiles:
        return ModelFiles(tmp_path, tmp_path, tmp_path)

    def replace(script: str) -> None:
        (tmp_path / "fake_child.py").write_text(script)

    monkeypatch.setattr(model_supervisor, "locate_model_files", locate)
    monkeypatch.setattr(model_process, "_MODULE", "fake_child")
    monkeypatch.setattr(model_process, "_IMPORT_ROOT", tmp_path)
    return replace


async def test_concurrent_callers_share_one_start(child: Callable[[str], None]) -> None:
    child(_READY)
    phases: list[str] = []
    lines: list[str] = []
    supervisor = EmbeddedModelSupervisor(
        EmbeddedModelConfig(), on_progress=lambda progress: phases.append(progress.phase), on_line=lines.append
    )
    first, second = await asyncio.gather(supervisor.ensure_running(), supervisor.ensure_running())
    assert first == second
    assert first == await supervisor.ensure_running()
    await supervisor.ping()
    assert ["starting", "loading", "ready"] == phases
    await supervisor.close()
    assert (["a line"], None) == (lines, supervisor.process_id)


async def test_a_cancelled_caller_leaves_the_start_to_the_others(child: Callable[[str], None]) -> None:
    child(_READY)
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig())
    impatient = asyncio.create_task(supervisor.ensure_running())
    patient = asyncio.create_task(supervisor.ensure_running())
    await asyncio.sleep(0)
    impatient.cancel()
    await patient
    assert impatient.cancelled()
    await supervisor.close()


async def test_repeated_crashes_back_off(child: Callable[[str], None]) -> None:
    child(_CRASH)
    now_s = 100.0
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig(), now_s=lambda: now_s)
    for _ in range(2):
        with pytest.raises(EmbeddedModelCrashed, match=r"(?s)exit code 5.*out of luck"):
            await supervisor.ensure_running()
    with pytest.raises(EmbeddedModelBackingOff) as backing_off:
        await supervisor.ensure_running()
    assert 1.0 == backing_off.value.retry_after_s
    now_s += 1.0
    child(_READY)
    await supervisor.ensure_running()
    await supervisor.close()


async def test_a_start_that_takes_too_long_is_ended(child: Callable[[str], None]) -> None:
    child(_STUCK)
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig(start_timeout_s=0.2))
    with pytest.raises(EmbeddedModelStartTimeout):
        await supervisor.ensure_running()
    await supervisor.close()


async def test_the_reason_that_the_child_gives_is_told(child: Callable[[str], None]) -> None:
    child(_FAILED)
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig())
    with pytest.raises(EmbeddedModelUnavailable, match="bad weights"):
        await supervisor.ensure_running()
    await supervisor.close()


async def test_closing_ends_a_start_and_forbids_another(child: Callable[[str], None]) -> None:
    child(_STUCK)
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig())
    starting = asyncio.create_task(supervisor.ensure_running())
    await asyncio.sleep(0.2)
    await supervisor.close()
    for attempt in (starting, supervisor.ensure_running(), supervisor.ping()):
        with pytest.raises(EmbeddedModelClosed):
            await attempt


async def test_a_process_that_does_not_answer_fails_the_ping_and_is_replaced(child: Callable[[str], None]) -> None:
    child(_SILENT)
    supervisor = EmbeddedModelSupervisor(EmbeddedModelConfig())
    await supervisor.ping()
    await supervisor.ensure_running()
    silent = supervisor.process_id
    with pytest.raises(EmbeddedModelCrashed, match="does not answer"):
        await supervisor.ping()
    child(_READY)
    await supervisor.ensure_running()
    assert silent != supervisor.process_id
    await supervisor.ping()
    await supervisor.close()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_config, "_WEIGHTS_PACKAGE", ("no_such_module", "the-weights==1 (with --no-deps)"))
    with pytest.raises(EmbeddedModelUnavailable, match=r"the-weights==1 \(with --no-deps\)"):
        locate_model_files(None)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedModelUnavailable, match=r"mine\.gguf does not exist"):
        locate_model_files(tmp_path / "mine.gguf")
