"""Starts and stops the programs of a bench. Only what was started here is ever ended here."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from antiphon.telemetry.span_queue import GATHER_S
from bench.pairing.access import make_access
from bench.pairing.setups import OFF

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from bench.pairing.setups import Setup

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
# How long after its call a span may leave: it waits for others, and is then encoded and sent.
EXPORT_S = GATHER_S + 0.5


class StartError(Exception):
    """A program did not come up. The message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Running:
    """A program that listens, and how it wants to be asked.

    Attributes:
        name: What it is called in results.
        pid: Its process; its CPU counters are read there, with its descendants'.
        address: Its `host:port`.
        log: Where its output goes.
        authority: Who signed its certificate; None: it speaks plaintext.
        key: The API key that it asks for; empty: none.
        http_address: The `host:port` of its second port; empty where it has none.
        json: Whether it is asked as the Connect protocol has it, in JSON.
        settle_s: How long what a call leaves behind may take until it is done, so that it is counted.
    """

    name: str
    pid: int
    address: str
    log: Path
    authority: Path | None = None
    key: str = ""
    http_address: str = ""
    json: bool = False
    settle_s: float = 0.1


@contextlib.contextmanager
def run(name: str, command: Sequence[str], port: int, folder: Path) -> Generator[Running]:
    """Runs a program that will listen on a loopback port, and ends it.

    Raises:
        StartError: It ended, or did not listen in time.
    """
    log = folder / f"{name}.log"
    # A variable that configures somebody's own Antiphon must not reach into a bench.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANTIPHON_", "OTEL_"))}
    with log.open("wb") as output:
        # A session of its own: whatever it starts can be ended with it, and a Ctrl-C of the terminal reaches the runner alone.
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _await_listening(name, process, port, log)
        yield Running(name, process.pid, f"127.0.0.1:{port}", log)
    finally:
        _end(process)


@contextlib.contextmanager
def upstream(binary: Path, seed: int, folder: Path, *, lifetime_s: int = 1800) -> Generator[Running]:
    """Runs the mock upstream, which takes spans, too; it ends by itself after its lifetime."""
    port = free_port()
    command = [str(binary), "-listen", f"127.0.0.1:{port}", "-seed", str(seed), "-lifetime", f"{lifetime_s}s"]
    with run("upstream", command, port, folder) as running:
        yield running


def candidate(
    name: str, upstream_address: str, folder: Path, *, label: str = "", setup: Setup = OFF
) -> contextlib.AbstractContextManager[Running]:
    """Returns a server of the contract, to be started: `antiphon` in a setup, `bare`, or a script that takes the bare server's options."""
    if name == "antiphon":
        return antiphon(setup, upstream_address, folder, label=label)
    return plain(name, upstream_address, folder, label=label)


@contextlib.contextmanager
def antiphon(setup: Setup, upstream_address: str, folder: Path, *, label: str = "") -> Generator[Running]:
    """Runs Antiphon with the parts of a setup on."""
    name = label or setup.name
    access = make_access(folder)
    grpc_port, http_port = free_port(), free_port()
    config = folder / f"{name}.yaml"
    document = setup.config(grpc_port, http_port, f"http://{upstream_address}", access)
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    program = ["-m", "bench.pairing.stripped", ",".join(setup.without)] if setup.without else ["-m", "antiphon"]
    command = [sys.executable, *program, "serve", "--config", str(config)]
    with run(name, command, grpc_port, folder) as running:
        yield replace(
            running,
            address=f"127.0.0.1:{http_port}" if setup.json else running.address,
            authority=access.authority if setup.tls else None,
            key=access.key if setup.key else "",
            http_address=f"127.0.0.1:{http_port}",
            json=setup.json,
            # A run pays for its own spans.
            settle_s=EXPORT_S if setup.sample_ratio else running.settle_s,
        )


@contextlib.contextmanager
def plain(name: str, upstream_address: str, folder: Path, *, label: str = "", tls: bool = False) -> Generator[Running]:
    """Runs a server of the contract that has no setups: `bare`, or a script that takes the bare server's options."""
    port = free_port()
    program = ["-m", "bench.bare.server"] if name == "bare" else [name]
    command = [sys.executable, *program, "--listen", f"127.0.0.1:{port}", "--upstream", f"http://{upstream_address}/v1"]
    if not tls:
        with run(label or name, command, port, folder) as running:
            yield running
        return
    access = make_access(folder)
    command += ["--certificate", str(access.certificate), "--private-key", str(access.private_key)]
    with run(label or name, command, port, folder) as running:
        yield replace(running, authority=access.authority)


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
