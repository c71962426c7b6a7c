"""Starts and stops the programs of a bench. Only what was started here is ever ended here."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


class StartError(Exception):
    """A program did not come up. The message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A program that listens.

    Attributes:
        name: What it is called in results.
        pid: Its process; its CPU counters are read there.
        address: Its `host:port`.
    """

    name: str
    pid: int
    address: str


@contextlib.contextmanager
def run(name: str, command: Sequence[str], port: int, folder: Path) -> Generator[Running]:
    """Runs a program that will listen on a loopback port, and ends it.

    Raises:
        StartError: It ended, or did not listen in time.
    """
    log = folder / f"{name}.log"
    # A variable that configures somebody's own Antiphon must not reach into a bench.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANTIPHON_")}
    with log.open("wb") as output:
        # A session of its own: whatever it starts can be ended with it, and a Ctrl-C of the terminal reaches the runner alone.
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _await_listening(name, process, port, log)
        yield Running(name, process.pid, f"127.0.0.1:{port}")
    finally:
        _end(process)


@contextlib.contextmanager
def upstream(binary: Path, seed: int, folder: Path) -> Generator[Running]:
    """Runs the mock upstream."""
    port = free_port()
    with run("upstream", [str(binary), "-listen", f"127.0.0.1:{port}", "-seed", str(seed)], port, folder) as running:
        yield running


@contextlib.contextmanager
def candidate(name: str, upstream_address: str, folder: Path, *, label: str = "") -> Generator[Running]:
    """Runs a server of the contract: `antiphon`, `bare`, or a script that takes the bare server's options."""
    port = free_port()
    base_url = f"http://{upstream_address}/v1"
    if name == "antiphon":
        config = folder / "antiphon.yaml"
        config.write_text(yaml.safe_dump(antiphon_config(port, free_port(), base_url)), encoding="utf-8")
        command = [sys.executable, "-m", "antiphon", "serve", "--config", str(config)]
    else:
        program = ["-m", "bench.bare.server"] if name == "bare" else [name]
        command = [sys.executable, *program, "--listen", f"127.0.0.1:{port}", "--upstream", base_url]
    with run(label or name, command, port, folder) as running:
        yield running


def antiphon_config(grpc_port: int, http_port: int, base_url: str) -> dict[str, object]:
    """Returns the configuration: the defaults, and one provider named `bench`."""
    return {
        "server": {"host": "127.0.0.1", "grpc_port": grpc_port, "http_port": http_port},
        "providers": {"bench": {"type": "openai", "base_url": base_url, "api_key": "bench"}},
    }


def log_end(log: Path) -> str:
    """Returns the last lines of a program's log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


def free_port() -> int:
    """Returns a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_listening(name: str, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise StartError(f"{name} ended with status {process.returncode}:\n{log_end(log)}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise StartError(f"{name} did not listen within {START_TIMEOUT_S:.0f} s:\n{log_end(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    # What is left of its session: a child that outlived it, or itself if it did not heed.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_TIMEOUT_S)
