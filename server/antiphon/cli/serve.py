"""`antiphon serve`: runs the server until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from typing import TYPE_CHECKING

from antiphon.app import Application
from antiphon.cli.exits import EXIT_CONFIG, EXIT_OK, EXIT_PORT, loaded
from antiphon.cli.listening import ports_of
from antiphon.config import ServerSection
from antiphon.telemetry.log_writer import LogWriter
from antiphon.telemetry.logs import configure_logs, logger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from antiphon.config import Config
    from antiphon.plugins import ProviderType

# Objects made between two runs of the collector's youngest generation; Python's default is 700.
_GC_THRESHOLD = 20_000


def serve(file: Path | None) -> int:
    """Serves; returns the process's exit code."""
    found = loaded(file)
    if found is None:
        return EXIT_CONFIG
    config, kinds = found
    # Looked at first: the start ends at the first port that it cannot have, and the gRPC runtime writes a line of its own.
    if problems := _port_problems(config.server):
        print(problems, file=sys.stderr)
        return EXIT_PORT
    writer = LogWriter()
    configure_logs(config.log, writer)
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            return runner.run(_run(config, kinds))
    finally:
        writer.close()


async def _run(config: Config, kinds: Mapping[str, ProviderType]) -> int:
    # Built on the loop that it will run on: grpc.aio binds a server to the loop of its making.
    application = Application(config, kinds)
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def heed() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heed)
    try:
        await application.start()
    except OSError as error:
        # A port went between the look at it and the start, or has come back since.
        print(_port_problems(config.server) or f"antiphon: cannot listen: {error}\n  -> start it again", file=sys.stderr)
        return EXIT_PORT
    _greet(application, config)
    # What is here now stays: the collector need not walk it again, nor run for every few hundred events of a stream.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
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


def _port_problems(section: ServerSection) -> str:
    """Says which ports cannot be had, and what changes them; nothing where all can."""
    problems = dict.fromkeys(problem for port in ports_of(section) if (problem := port.problem()))
    return "\n".join(f"antiphon: cannot listen on {one.place}: {one.told}\n  -> {one.mend}" for one in problems)


def _greet(application: Application, config: Config) -> None:
    host = config.server.host
    target = f"{host}:{application.rpc.port}"
    # The port that a client takes when it is told none.
    usual = application.rpc.port == ServerSection.model_fields["grpc_port"].default
    chat = "antiphon chat" if usual else f"antiphon chat --target {target}"
    lines = [
        f"Antiphon serves gRPC at {target}",
        f"health, readiness and metrics at http://{host}:{application.http.port}",
        f"models: {', '.join(config.providers)}; the default is {config.aliases.get('default', 'not set')}",
        "",
        f"Now type, in another terminal:  {_prefix()}{chat}",
    ]
    print("\n".join(lines), flush=True)


def _prefix() -> str:
    """The command as this installation is called: by its path where it is not on the PATH."""
    import shutil
    from pathlib import Path

    beside = Path(sys.executable).parent
    if shutil.which("antiphon") == str(beside / "antiphon") and not Path(".venv").is_dir():
        return ""
    try:
        return f"{beside.relative_to(Path.cwd())}/"
    except ValueError:
        return f"{beside}/"


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()
