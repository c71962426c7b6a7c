"""One run of the embedded model's process: spawn, wait until it is ready, watch, end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from antiphon.embedded.model_errors import EmbeddedModelCrashed, EmbeddedModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from antiphon.embedded.model_config import EmbeddedModelConfig, ModelFiles

_MODULE = "antiphon.embedded.model_server"
_IMPORT_ROOT = Path(__file__).resolve().parents[2]
_LONGEST_LINE_BYTES = 4096
_KEPT_LINES = 20


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the embedded model is served: an OpenAI-compatible base URL and its key."""

    base_url: str
    api_key: str

    def __repr__(self) -> str:
        """Leave the key out of logs."""
        return f"Endpoint(base_url={self.base_url!r})"


class ModelProcess:
    """A spawned process; used once, replaced after it ended."""

    def __init__(self, process: asyncio.subprocess.Process, runtime_dir: Path, on_line: Callable[[str], None]) -> None:
        """Begin to read what the process writes."""
        self._process = process
        self._runtime_dir = runtime_dir
        self._on_line = on_line
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._stderr_task = asyncio.create_task(self._read_stderr(), name="embedded-model-stderr")
        self._stdout_task: asyncio.Task[None] | None = None
        self._ended = asyncio.create_task(process.wait(), name="embedded-model-wait")

    @classmethod
    async def spawn(cls, config: EmbeddedModelConfig, files: ModelFiles, api_key: str, on_line: Callable[[str], None]) -> ModelProcess:
        """Start the process and hand it its settings and key over standard input."""
        runtime_dir = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="antiphon-model-"))
        environment = {
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(_IMPORT_ROOT),
            "PYTHONUNBUFFERED": "1",
            # The waiting threads of OpenMP would otherwise spin on cores that the server needs.
            "OMP_NUM_THREADS": str(config.threads),
            "OMP_WAIT_POLICY": "passive",
        }
        settings = {
            "api_key": api_key,
            "parent_pid": os.getpid(),
            "runtime_dir": str(runtime_dir),
            "gguf_path": str(files.gguf),
            "embedder_path": str(files.embedder),
            "embedder_tokenizer_path": str(files.embedder_tokenizer),
            "model_name": config.model_name,
            "threads": config.threads,
            "parallel_slots": config.parallel_slots,
            "max_waiting": config.max_waiting,
            "context_tokens": config.context_tokens,
            "default_max_tokens": config.default_max_tokens,
        }
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                _MODULE,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                cwd=runtime_dir,
                # Ctrl-C in the server's terminal must not reach it: the server drains first.
                start_new_session=True,
            )
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, runtime_dir, ignore_errors=True)
            raise
        running = cls(process, runtime_dir, on_line)
        stdin = process.stdin
        if stdin is not None:
            # Left open on purpose: its end tells the child that this process has died.
            stdin.write(json.dumps(settings).encode() + b"\n")
        return running

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def ended(self) -> asyncio.Task[int]:
        """Done when the process has ended; the result is its exit code."""
        return self._ended

    @property
    def is_running(self) -> bool:
        """Whether the process lives, as far as the event loop has heard."""
        return self._process.returncode is None and not self._ended.done()

    def describe_end(self) -> str:
        """The exit code and the last lines that the process wrote to standard error."""
        lines = "\n".join(self._last_lines)
        return f"exit code {self._process.returncode}" + (f"; its last lines:\n{lines}" if lines else "")

    async def wait_ready(self, on_phase: Callable[[str], None]) -> int:
        """Read the child's event lines until it serves; returns the port.

        Raises:
            EmbeddedModelUnavailable: The child said why it cannot run.
            EmbeddedModelCrashed: The child ended without saying why.
        """
        stdout = self._process.stdout
        if stdout is None:
            raise EmbeddedModelCrashed("the embedded model's process has no standard output")
        while line := await stdout.readline():
            event = cast("dict[str, Any]", json.loads(line))
            if event["event"] == "failed":
                raise EmbeddedModelUnavailable(f"the embedded model could not be loaded: {event['message']}")
            if event["event"] == "ready":
                self._stdout_task = asyncio.create_task(_drain(stdout), name="embedded-model-stdout")
                return int(event["port"])
            on_phase(str(event["event"]))
        await self._ended
        await asyncio.wait({self._stderr_task}, timeout=1.0)
        raise EmbeddedModelCrashed(f"the embedded model's process ended before it was ready: {self.describe_end()}")

    async def end(self, grace_s: float) -> None:
        """End the process by its standard input, kill it after `grace_s`, and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if not self._ended.done():
            await asyncio.wait({self._ended}, timeout=grace_s)
            if not self._ended.done():
                self._kill()
        await self._ended
        readers = [task for task in (self._stderr_task, self._stdout_task) if task is not None]
        await asyncio.wait(readers, timeout=1.0)
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        # The child removes it too, unless it was killed.
        await asyncio.to_thread(shutil.rmtree, self._runtime_dir, ignore_errors=True)

    def _kill(self) -> None:
        # It may have ended between the look and the signal.
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _read_stderr(self) -> None:
        stderr = self._process.stderr
        if stderr is None:
            return
        pending = b""
        while chunk := await stderr.read(_LONGEST_LINE_BYTES):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > _LONGEST_LINE_BYTES:
                lines.append(pending)
                pending = b""
            for line in lines:
                self._take_line(line)
        if pending:
            self._take_line(pending)

    def _take_line(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE_BYTES].decode(errors="replace").rstrip()
        if text:
            self._last_lines.append(text)
            self._on_line(text)


def new_api_key() -> str:
    """A key for one run of the process."""
    return secrets.token_urlsafe(32)


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(_LONGEST_LINE_BYTES):
        pass
