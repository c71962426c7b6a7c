"""`antiphon serve` as a person runs it: a process of its own, on free ports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

ANTIPHON = Path(sys.executable).parent / "antiphon"
_GREETING = re.compile(r"gRPC at (\S+)\n.* at (https?://\S+)\n")
_START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class RealServer:
    """A running `antiphon serve`.

    Attributes:
        pid: Its process.
        target: Where it serves gRPC, as `host:port`.
        http_url: Its second port.
        config: The file that it was configured by.
        log: The file with all that it printed.
    """

    pid: int
    target: str
    http_url: str
    config: Path
    log: Path

    def environment(self) -> dict[str, str]:
        """Returns an environment in which the SDK and the command line find it."""
        return {**plain_environment(), "ANTIPHON_TARGET": self.target}


def plain_environment() -> dict[str, str]:
    """Returns this environment without any setting of Antiphon's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ANTIPHON_")}


@contextmanager
def real_server(folder: Path, document: str = "", *arguments: str) -> Generator[RealServer]:
    """Runs the server, with the command's arguments, until the context ends; then asks it to drain and waits, unless it has ended."""
    config = folder / "served.yaml"
    config.write_text(document or "log: {level: warning}\n", encoding="utf-8")
    log = folder / "served.log"
    environment = {
        **plain_environment(),
        "ANTIPHON_CONFIG": str(config),
        "ANTIPHON_SERVER__GRPC_PORT": "0",
        "ANTIPHON_SERVER__HTTP_PORT": "0",
        "ANTIPHON_SERVER__DRAIN_GRACE_S": "3",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [ANTIPHON, "serve", *arguments], stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder
        )  # our own command
    try:
        yield _greeted(process, config, log)
    finally:
        process.send_signal(signal.SIGTERM)  # nothing where it was waited for
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _greeted(process: subprocess.Popen[bytes], config: Path, log: Path) -> RealServer:
    until = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < until:
        said = log.read_text(encoding="utf-8")
        if found := _GREETING.search(said):
            return RealServer(process.pid, found[1], found[2], config, log)
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"the server did not start:\n{log.read_text(encoding='utf-8')}")
