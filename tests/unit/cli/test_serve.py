"""`antiphon serve` that cannot listen, or has nothing to serve with, says in a line what is wrong and which setting changes it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from antiphon.cli import serve as serve_module
from antiphon.cli.greeting import Greeting
from tests.support.real_server import plain_environment, real_server

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from antiphon.config import ServerSection

PROGRAM = [sys.executable, "-c", "from antiphon.cli.main import run; run()"]


@pytest.fixture
def taken() -> Generator[int, None, None]:
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def serve(folder: Path, **settings: object) -> tuple[int, list[str]]:
    environment = {**plain_environment(), **{f"ANTIPHON_SERVER__{name.upper()}": str(value) for name, value in settings.items()}}
    done = subprocess.run([*PROGRAM, "serve"], env=environment, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    assert "Traceback" not in done.stderr
    assert "" == done.stdout
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(("key", "name", "other"), [("grpc_port", "gRPC", "http_port"), ("http_port", "HTTP", "grpc_port")])
def test_only_the_port_that_is_taken_is_named(tmp_path: Path, taken: int, key: str, name: str, other: str) -> None:
    exit_code, lines = serve(tmp_path, **{key: taken, other: 0})
    expected = [
        f"antiphon: cannot listen on 127.0.0.1:{taken} ({name}): another program has it",
        f"  -> end what has it, or set server.{key}; ANTIPHON_SERVER__{key.upper()}=0 takes any free port",
    ]
    assert (3, expected) == (exit_code, lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_both_ports_are_named_where_both_are_taken(tmp_path: Path, taken: int, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as second:
        exit_code, lines = serve(tmp_path, grpc_port=taken, http_port=second.getsockname()[1], workers=workers)
    assert (3, ["gRPC", "HTTP"]) == (exit_code, [name for line in lines for name in ("gRPC", "HTTP") if f"({name})" in line])


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines_is_named_once(tmp_path: Path, host: str) -> None:
    (tmp_path / "antiphon.yaml").write_text("auth: {serve_anyone: true}\n", encoding="utf-8")
    exit_code, lines = serve(tmp_path, host=host, grpc_port=0, http_port=0)
    assert (3, 2) == (exit_code, len(lines))
    assert lines[0].startswith(f"antiphon: cannot listen on {host}: ")
    assert "ANTIPHON_SERVER__HOST=127.0.0.1" in lines[1]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_configuration_that_cannot_be_used_is_told_by_every_problem(tmp_path: Path, workers: int) -> None:
    (tmp_path / "antiphon.yaml").write_text(
        "sever: {}\nlog: {level: loud}\nproviders: {a: {type: nothing}}\naliases: {}\n", encoding="utf-8"
    )
    exit_code, lines = serve(tmp_path, grpc_port="many", workers=workers)
    assert (2, 4) == (exit_code, len(lines))
    assert all(line.startswith("configuration: ") for line in lines)


def test_the_server_starts_where_its_ports_are_free(tmp_path: Path) -> None:
    environment = {**plain_environment(), "ANTIPHON_SERVER__GRPC_PORT": "0", "ANTIPHON_SERVER__HTTP_PORT": "0"}
    program = subprocess.Popen([*PROGRAM, "serve"], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    assert os.read(program.stdout.fileno(), 100).startswith(b"Antiphon serves gRPC at ")
    program.send_signal(signal.SIGTERM)
    program.communicate(timeout=50)
    assert 0 == program.returncode


def test_an_address_with_colons_is_greeted_with_brackets() -> None:
    lines = Greeting("::1", 7001, 7002, ("local",), None).text().splitlines()
    assert ["Antiphon serves gRPC at [::1]:7001", "health, readiness and metrics at http://[::1]:7002"] == lines[:2]
    assert lines[-1].endswith("antiphon chat --target [::1]:7001")


@pytest.mark.parametrize(
    ("host", "port", "encrypted", "typed"),
    [
        ("127.0.0.1", 50051, False, "antiphon chat"),
        ("0.0.0.0", 50051, False, "antiphon chat"),  # noqa: S104  # nothing listens
        ("0.0.0.0", 7001, False, "antiphon chat --target 127.0.0.1:7001"),  # noqa: S104  # nothing listens
        ("::", 7001, False, "antiphon chat --target [::1]:7001"),
        ("192.0.2.1", 50051, False, "antiphon chat --target http://192.0.2.1:50051"),
        ("192.0.2.1", 50051, True, "antiphon chat --target https://192.0.2.1:50051"),
    ],
)
def test_what_the_greeting_says_to_type_reaches_the_server(host: str, port: int, typed: str, *, encrypted: bool) -> None:
    text = Greeting(host, port, 7002, ("local",), None, encrypted).text()
    assert text.splitlines()[-1].endswith(typed)


def test_a_server_that_asks_who_calls_says_where_the_key_comes_from() -> None:
    assert "ANTIPHON_API_KEY" in Greeting("127.0.0.1", 7001, 7002, ("local",), None, asks=True).text().splitlines()[-1]


async def test_one_process_says_what_a_hangup_needs(tmp_path: Path) -> None:
    with real_server(tmp_path) as server:
        os.kill(server.pid, signal.SIGHUP)
        async with asyncio.timeout(20):
            while "server.workers" not in server.log.read_text(encoding="utf-8"):
                await asyncio.sleep(0.02)


@pytest.mark.lingers("the gRPC runtime keeps the poller of a server that never listened")
@pytest.mark.parametrize("name", ["grpc_port", "http_port"])
def test_a_port_that_goes_between_the_look_and_the_start_is_named(
    tmp_path: Path, taken: int, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    looks: list[str] = []
    look = serve_module._port_problems

    def late(section: ServerSection) -> str:
        looks.append(look(section))
        return looks[-1] if len(looks) > 1 else ""

    def leave_logs(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(serve_module, "_port_problems", late)
    # The loop of the product keeps descriptors for the process's life, and the logs' configuration is the test's.
    monkeypatch.setattr(serve_module, "new_loop", asyncio.new_event_loop)
    monkeypatch.setattr(serve_module, "configure_logs", leave_logs)
    file = tmp_path / "antiphon.yaml"
    ports = {"grpc_port": 0, "http_port": 0, name: taken}
    file.write_text(yaml.safe_dump({"server": ports}), encoding="utf-8")
    assert 3 == serve_module.serve(file)
    assert f"cannot listen on 127.0.0.1:{taken}" in capfd.readouterr().err
