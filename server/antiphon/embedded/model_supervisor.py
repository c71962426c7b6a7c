"""Keeps the embedded model's process running: starts it on first use, notices its end, starts it again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.embedded.model_config import EmbeddedModelConfig, locate_model_files
from antiphon.embedded.model_errors import (
    EmbeddedModelBackingOff,
    EmbeddedModelClosed,
    EmbeddedModelCrashed,
    EmbeddedModelStartTimeout,
)
from antiphon.embedded.model_process import Endpoint, ModelProcess, new_api_key

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EmbeddedModelSupervisor", "Endpoint", "StartProgress"]

_FIRST_BACK_OFF_S = 1.0
_LONGEST_BACK_OFF_S = 60.0
# A process that lived this long was healthy: its end is not one more crash of the same series.
_HEALTHY_AFTER_S = 60.0
# One crash may be bad luck and is followed by a start at once.
_CRASHES_BEFORE_BACK_OFF = 2
_PING_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class StartProgress:
    """A step of the start, for logs and the command line.

    Attributes:
        phase: "starting", "loading" or "ready"; "ended" when the process ended by itself.
        elapsed_s: Seconds since the start began.
    """

    phase: str
    elapsed_s: float


class EmbeddedModelSupervisor:
    """Owns the embedded model's process. Not safe to use from several event loops."""

    def __init__(
        self,
        config: EmbeddedModelConfig,
        *,
        on_progress: Callable[[StartProgress], None] = lambda _: None,
        on_line: Callable[[str], None] = lambda _: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the configuration; nothing is started before the first use.

        Args:
            config: How the process is run.
            on_progress: Called on the event loop at every step of a start.
            on_line: Called on the event loop with every line that the process writes to standard error.
            now_s: The clock of the back-off.
        """
        self._config = config
        self._on_progress = on_progress
        self._on_line = on_line
        self._now_s = now_s
        self._process: ModelProcess | None = None
        self._endpoint: Endpoint | None = None
        self._start_task: asyncio.Task[Endpoint] | None = None
        self._ready_at_s = 0.0
        self._ended_at_s = 0.0
        self._crashes_in_a_row = 0
        self._not_before_s = 0.0
        self._closed = False

    @property
    def process_id(self) -> int | None:
        """The running process, if there is one."""
        return self._process.pid if self._process is not None and self._process.is_running else None

    async def ensure_running(self) -> Endpoint:
        """The endpoint of the running process, started now if need be. Concurrent callers share one start.

        A caller that is cancelled leaves the start to the others.

        Raises:
            EmbeddedModelUnavailable: Weights or a package are missing, or the weights cannot be loaded.
            EmbeddedModelStartTimeout: The process was not ready in time.
            EmbeddedModelCrashed: The process ended while it started.
            EmbeddedModelBackingOff: It crashed repeatedly; the error says when the next start is allowed.
            EmbeddedModelClosed: `close()` was called.
        """
        while self._start_task is None and self._process is not None and self._endpoint is not None:
            process, endpoint = self._process, self._endpoint
            if await _serves(process, endpoint):
                return endpoint
            if process is self._process:
                break  # Otherwise another caller has replaced it in the meantime.
        if self._closed:
            raise EmbeddedModelClosed("the embedded model was closed")
        if self._start_task is None:
            self._start_task = asyncio.create_task(self._start(), name="embedded-model-start")
            self._start_task.add_done_callback(self._start_ended)
        try:
            return await asyncio.shield(self._start_task)
        except asyncio.CancelledError:
            if self._closed and not _is_cancelling():
                raise EmbeddedModelClosed("the embedded model was closed while it started") from None
            raise

    async def ping(self) -> None:
        """Check that the model can serve: its process answers, or, when it was not needed yet, its files are there.

        Raises:
            EmbeddedModelError: The reason why it cannot.
        """
        endpoint = self._endpoint
        if endpoint is None or self._process is None:
            if self._closed:
                raise EmbeddedModelClosed("the embedded model was closed")
            await asyncio.to_thread(locate_model_files, self._config.gguf_path)
            return
        if not self._process.is_running:
            raise EmbeddedModelCrashed(f"the embedded model's process ended: {self._process.describe_end()}")
        try:
            await _ask_health(endpoint)
        except (OSError, TimeoutError) as error:
            raise EmbeddedModelCrashed("the embedded model's process does not answer") from error

    async def close(self) -> None:
        """End the process and wait until it is gone. Can be called again."""
        self._closed = True
        if self._start_task is not None:
            self._start_task.cancel()
            await asyncio.wait({self._start_task})
        process, self._process, self._endpoint = self._process, None, None
        if process is not None:
            await process.end(self._config.stop_grace_s)

    def _start_ended(self, task: asyncio.Task[Endpoint]) -> None:
        self._start_task = None
        if not task.cancelled():
            task.exception()  # Every caller may have been cancelled: an error that nobody awaits is no warning.

    async def _start(self) -> Endpoint:
        began_s = time.monotonic()
        await self._put_away_dead_process()
        wait_s = self._not_before_s - self._now_s()
        if wait_s > 0:
            raise EmbeddedModelBackingOff(f"the embedded model crashed {self._crashes_in_a_row} times in a row", retry_after_s=wait_s)

        def report(phase: str) -> None:
            self._on_progress(StartProgress(phase=phase, elapsed_s=time.monotonic() - began_s))

        files = await asyncio.to_thread(locate_model_files, self._config.gguf_path)
        report("starting")
        api_key = new_api_key()
        process = await ModelProcess.spawn(self._config, files, api_key, self._on_line)
        try:
            async with asyncio.timeout(self._config.start_timeout_s):
                port = await process.wait_ready(report)
        except TimeoutError as error:
            await process.end(grace_s=0)
            self._count_crash(self._now_s())
            raise EmbeddedModelStartTimeout(
                f"the embedded model was not ready after {self._config.start_timeout_s} s: {process.describe_end()}"
            ) from error
        except EmbeddedModelCrashed:
            await process.end(grace_s=0)
            self._count_crash(self._now_s())
            raise
        except BaseException:
            # Cancelled by close(), or the child said that it cannot run: no crash, but nothing may stay behind.
            await process.end(grace_s=0)
            raise
        self._process = process
        self._endpoint = Endpoint(base_url=f"http://127.0.0.1:{port}/v1", api_key=api_key)
        self._ready_at_s = self._now_s()
        process.ended.add_done_callback(self._process_ended)
        report("ready")
        return self._endpoint

    async def _put_away_dead_process(self) -> None:
        process, self._process, self._endpoint = self._process, None, None
        if process is not None:
            await process.end(grace_s=0)
            if self._ended_at_s - self._ready_at_s > _HEALTHY_AFTER_S:
                self._crashes_in_a_row = 0
            self._count_crash(self._ended_at_s)

    def _process_ended(self, _: asyncio.Task[int]) -> None:
        self._ended_at_s = self._now_s()
        if not self._closed:
            self._on_progress(StartProgress(phase="ended", elapsed_s=self._ended_at_s - self._ready_at_s))

    def _count_crash(self, at_s: float) -> None:
        self._crashes_in_a_row += 1
        beyond = self._crashes_in_a_row - _CRASHES_BEFORE_BACK_OFF
        if beyond >= 0:
            self._not_before_s = at_s + min(_FIRST_BACK_OFF_S * 2**beyond, _LONGEST_BACK_OFF_S)


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _serves(process: ModelProcess, endpoint: Endpoint) -> bool:
    """Whether a process that was ready can take a request.

    Asked over its socket (a millisecond): while a killed process ends, its connections are reset, then its listener is closed,
    and only then the event loop hears of the end. A caller that was cut off would be sent to the same place.
    """
    if not process.is_running:
        return False
    try:
        await _ask_health(endpoint)
    except TimeoutError:
        return True  # It is slow, or the machine is: the caller's deadline decides.
    except OSError:
        return False
    return True


async def _ask_health(endpoint: Endpoint) -> None:
    """Raises OSError or TimeoutError unless the endpoint answers that it is well."""
    host, _, port = endpoint.base_url.removeprefix("http://").removesuffix("/v1").partition(":")
    async with asyncio.timeout(_PING_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            status_line = await reader.readline()
        finally:
            writer.close()
    if b" 200 " not in status_line:
        raise ConnectionError(f"the embedded model's process answered {status_line!r}")
