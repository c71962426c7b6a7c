"""One worker: imports everything, waits to be told what to serve, serves it, drains."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from antiphon.app import Application, SharedParts
from antiphon.config import Config, ConfigError, from_text, load_with_text
from antiphon.plugins import load_provider_types
from antiphon.ports.embedded_model import EnginePhase
from antiphon.telemetry.log_writer import LogWriter
from antiphon.telemetry.logs import configure_logs, logger
from antiphon.telemetry.redaction import Redactor, secrets_of
from antiphon.workers.channel import Channel
from antiphon.workers.embedded_model import PHASE, SharedEmbeddedModel
from antiphon.workers.loaded import Loaded
from antiphon.workers.metrics_of_all import OWN, MetricsOfAll
from antiphon.workers.startup import keep_what_is_there, new_loop
from antiphon.workers.worker_process import DRAIN, HURRY, IMPORTED, LOAD, SERVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from antiphon.plugins import ProviderType


def main(descriptor: int) -> int:
    """Runs a worker until it has drained; returns the process's exit code.

    Args:
        descriptor: The socket to the supervisor.
    """
    # The supervisor takes it. Until the loop runs a drain can only be an end.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    kinds = load_provider_types()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(Worker(kinds).run(socket.socket(fileno=descriptor)))
    return 0


class Worker:
    """A worker's life, as the supervisor directs it."""

    def __init__(self, kinds: Mapping[str, ProviderType]) -> None:
        self._kinds = kinds
        self._stop = asyncio.Event()
        self._application: Application | None = None
        self._engine: SharedEmbeddedModel | None = None
        self._writer: LogWriter | None = None
        self._drain_grace_s = 0.0

    async def run(self, connection: socket.socket) -> None:
        """Does what it is told over the socket until it has drained.

        It drains when it is told to, at SIGTERM or SIGINT, and when the supervisor is gone. A second signal hurries nothing: whoever sends one to the whole
        group of processes has the supervisor tell all.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        self._channel = await Channel.over(connection, self._answer)
        self._channel.tell(IMPORTED)
        orphaned = asyncio.create_task(self._channel.ended.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((orphaned, stopped), return_when=asyncio.FIRST_COMPLETED)
        if self._application is not None:
            reason = "draining" if stopped.done() else "draining: the supervisor is gone"
            logger("antiphon.workers").info(reason, grace_s=self._drain_grace_s)
            await self._application.close()
        for task in (orphaned, stopped):
            task.cancel()
        await self._channel.close()
        if self._writer is not None:
            self._writer.close()

    async def _answer(self, name: str, value: Any) -> Any:
        if name == LOAD:
            return self._load(value["file"])
        if name == SERVE:
            return await self._serve(value)
        if name == OWN and self._application is not None:
            return await self._application.metrics.text()
        if name == DRAIN:
            self._stop.set()
        elif name == HURRY and self._application is not None:
            await self._application.rpc.hurry()
        elif name == PHASE and self._engine is not None:
            self._engine.phase = EnginePhase(value)
        return None

    def _load(self, file: str | None) -> dict[str, Any]:
        try:
            config, text = load_with_text(self._kinds, file=None if file is None else Path(file))
        except ConfigError as error:
            return {"problems": error.problems}
        return {"loaded": Loaded.of(config, text).to_json()}

    async def _serve(self, told: dict[str, Any]) -> dict[str, Any]:
        try:
            config = from_text(self._kinds, told["text"])
        except ConfigError as error:
            return {"refused": str(error)}
        ports = {key: told[key] for key in ("host", "grpc_port", "http_port")}
        config = config.model_copy(update={"server": config.server.model_copy(update=ports)})
        writer = self._writer = LogWriter()
        traced = config.telemetry.traces != "off"
        redactor = Redactor(secrets_of(config))
        configure_logs(config.log, writer, redactor, traced=traced, worker=told["worker"])
        self._drain_grace_s = config.server.drain_grace_s
        try:
            application = self._built(config, told)
            application.metrics.tell_dropped_lines(lambda: writer.dropped)
            await application.start()
        except Exception as error:  # noqa: BLE001  # the supervisor, which knows no secret by name, writes it into its log
            return {"refused": redactor.text(f"cannot listen: {error}" if isinstance(error, OSError) else repr(error))}
        self._application = application
        keep_what_is_there()
        return {}

    def _built(self, config: Config, told: dict[str, Any]) -> Application:
        channel, worker = self._channel, told["worker"]
        self._engine = SharedEmbeddedModel(config.embedded_model, channel, EnginePhase(told["phase"]))
        return Application(config, self._kinds, SharedParts(self._engine, lambda own: MetricsOfAll(worker, own, channel)))
