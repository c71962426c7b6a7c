"""`antiphon serve`: runs the server until it is told to stop, in this process or in several that this one keeps."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from antiphon.cli.exits import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_PORT, loaded, tell_problems
from antiphon.cli.greeting import Greeting
from antiphon.cli.listening import ports_of
from antiphon.config import configured_workers
from antiphon.telemetry.log_writer import LogWriter
from antiphon.telemetry.logs import configure_logs, logger
from antiphon.telemetry.redaction import Redactor, secrets_of
from antiphon.workers.startup import keep_what_is_there, new_loop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from antiphon.app import Application
    from antiphon.config import Config, LogSection, ServerSection
    from antiphon.plugins import ProviderType
    from antiphon.workers.loaded import Loaded
    from antiphon.workers.reserved_ports import ReservedPorts


def serve(file: Path | None, workers: int | None = None) -> int:
    """Serves; returns the process's exit code.

    Args:
        file: The configuration's file; None: where `config.load` looks for one.
        workers: How many processes serve, whatever the configuration says; None: as many as it says.
    """
    if (workers or configured_workers(file)) > 1:
        return _serve_together(file, workers)
    found = loaded(file)
    if found is None:
        return EXIT_CONFIG
    config, kinds = found
    # Looked at first: the start ends at the first port that it cannot have, and the gRPC runtime writes a line of its own.
    if problems := _port_problems(config.server):
        print(problems, file=sys.stderr)
        return EXIT_PORT
    writer = LogWriter()
    configure_logs(config.log, writer, Redactor(secrets_of(config)), traced=config.telemetry.traces != "off")
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_run(config, kinds, writer))
    finally:
        writer.close()


async def _run(config: Config, kinds: Mapping[str, ProviderType], writer: LogWriter) -> int:
    from antiphon.app import Application

    # Built on the loop that it will run on: grpc.aio binds a server to the loop of its making.
    application = Application(config, kinds)
    application.metrics.tell_dropped_lines(lambda: writer.dropped)
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heed)
    loop.add_signal_handler(signal.SIGHUP, _tell_of_workers)
    try:
        await application.start()
    except OSError as error:
        # A port went between the look at it and the start, or has come back since.
        print(_port_problems(config.server) or _cannot_listen(error), file=sys.stderr)
        return EXIT_PORT
    greeting = Greeting(
        config.server.host,
        application.rpc.port,
        application.http.port,
        tuple(config.providers),
        config.aliases.get("default"),
        config.tls.enabled,
        config.auth.identifies,
    )
    print(greeting.text(), flush=True)
    keep_what_is_there()
    await stop.wait()
    logger("antiphon").info("draining; a second signal ends the calls in progress", grace_s=config.server.drain_grace_s)
    hurrying = asyncio.create_task(_hurry(application, hurry))
    await application.close()
    hurrying.cancel()
    logger("antiphon").info("stopped")
    return EXIT_OK


async def _hurry(application: Application, hurry: asyncio.Event) -> None:
    await hurry.wait()
    await application.rpc.hurry()


def _tell_of_workers() -> None:
    logger("antiphon").warning(
        "nothing done at SIGHUP: one process cannot replace itself; `antiphon serve --workers 2` (server.workers) replaces its workers"
    )


def _serve_together(file: Path | None, workers: int | None) -> int:
    # Imported here: one process that serves alone needs nothing of it, and this one nothing of what serves.
    from antiphon.workers.supervisor import ConfigurationRefusedError, Supervisor
    from antiphon.workers.worker_process import WorkerError

    terminal = _Terminal(LogWriter())
    try:
        asyncio.run(Supervisor(file, workers, terminal).run())
    except ConfigurationRefusedError as error:
        tell_problems(error.problems)
        return EXIT_CONFIG
    except OSError as error:
        print(error.args[0] if isinstance(error, _PortsTakenError) else _cannot_listen(error), file=sys.stderr)
        return EXIT_PORT
    except WorkerError as error:
        print(f"antiphon: a worker does not start: {error}", file=sys.stderr)
        return EXIT_FAILED
    finally:
        terminal.writer.close()
    return EXIT_OK


class _PortsTakenError(OSError):
    """A port cannot be had; the one argument says which, and what changes it."""


class _Terminal:
    """Implements the supervisor's `Terminal` for whoever started the command."""

    def __init__(self, writer: LogWriter) -> None:
        self.writer = writer

    def log_as(self, section: LogSection) -> None:
        configure_logs(section, self.writer)

    def check_ports(self, section: ServerSection) -> None:
        if problems := _port_problems(section):
            raise _PortsTakenError(problems)

    def serving(self, loaded: Loaded, ports: ReservedPorts) -> None:
        where = (ports.host, ports.grpc_port, ports.http_port)
        print(Greeting(*where, loaded.providers, loaded.default_model, loaded.encrypted, loaded.asks).text(), flush=True)


def _port_problems(section: ServerSection) -> str:
    """Says which ports cannot be had, and what changes them; nothing where all can."""
    problems = dict.fromkeys(problem for port in ports_of(section) if (problem := port.problem()))
    return "\n".join(f"antiphon: cannot listen on {one.place}: {one.told}\n  -> {one.mend}" for one in problems)


def _cannot_listen(error: OSError) -> str:
    return f"antiphon: cannot listen: {error}\n  -> start it again"
