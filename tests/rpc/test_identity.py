"""A server with keys serves who has one, over TLS, as the SDK and the command line call it; and one that nobody would be asked at does not start."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from antiphon.identity.api_keys import id_of, new_key, written_hash
from antiphon_client import Client, PermissionDeniedError, UnauthenticatedError
from tests.support.authority import Authority
from tests.support.real_server import ANTIPHON, RealServer, plain_environment, real_server

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

KEYS = {"user": new_key(), "monitor": new_key()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("identity")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def server(folder: Path, authority: Authority) -> Generator[RealServer]:
    chain, key = authority.issue("server")
    entries = [
        {"id": id_of(key), "hash": written_hash(key), "principal": role, "tenant": "acme", "role": role} for role, key in KEYS.items()
    ]
    document: dict[str, Any] = {
        "tls": {"certificate": str(chain), "private_key": str(key)},
        "auth": {"keys": entries},
        "log": {"format": "json"},
    }
    with real_server(folder, yaml.safe_dump(document)) as running:
        yield running


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [ANTIPHON, *arguments],
        env={**plain_environment(), **environment},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def reaching(server: RealServer, authority: Authority, key: str = "") -> dict[str, str]:
    return {"ANTIPHON_TARGET": server.target, "ANTIPHON_ROOT_CERTIFICATES": str(authority.roots), "ANTIPHON_API_KEY": key}


def test_the_greeting_says_how_to_reach_it(server: RealServer) -> None:
    assert ("https://", "https://") == (server.target[:8], server.http_url[:8])
    assert f"antiphon chat --target {server.target}" in server.log.read_text(encoding="utf-8")


def test_the_sdk_is_let_in_with_a_key_and_told_why_not_without(server: RealServer, authority: Authority) -> None:
    with Client(server.target, tls=authority.tls(), api_key=KEYS["user"]) as client:
        assert client.models.list()
        with pytest.raises(PermissionDeniedError) as denied:
            client.health.check()
    assert {"permission": "health_read"} == denied.value.metadata
    with Client(server.target, tls=authority.tls(), api_key="") as client, pytest.raises(UnauthenticatedError) as missing:
        list(client.models.list())
    assert "CREDENTIALS_MISSING" == missing.value.reason


def test_the_command_line_finds_keys_and_authorities_in_the_environment(folder: Path, server: RealServer, authority: Authority) -> None:
    exit_code, said, _ = run(folder, "models", "--json", **reaching(server, authority, KEYS["user"]))
    assert (0, True) == (exit_code, bool(json.loads(said)))
    exit_code, said, _ = run(
        folder,
        "doctor",
        "--json",
        **reaching(server, authority, KEYS["monitor"]),
        ANTIPHON_SERVER__GRPC_PORT="0",
        ANTIPHON_SERVER__HTTP_PORT="0",
    )
    findings = {finding["subject"]: finding for finding in json.loads(said)["findings"]}
    assert ("works", True) == (findings["server"]["verdict"], findings["TLS"]["told"].startswith("spoken to"))


@pytest.mark.parametrize(
    ("change", "exit_code", "told"),
    [
        ({"ANTIPHON_API_KEY": ""}, 1, "CREDENTIALS_MISSING"),
        ({"ANTIPHON_API_KEY": new_key()}, 1, "CREDENTIALS_INVALID"),
        ({"ANTIPHON_ROOT_CERTIFICATES": ""}, 4, "nobody whom this client trusts"),
        ({"ANTIPHON_ROOT_CERTIFICATES": "/nowhere.pem"}, 2, "'/nowhere.pem' cannot be read"),
    ],
    ids=["no key", "a stranger's key", "no authority", "no file"],
)
def test_the_command_line_says_in_a_line_what_keeps_it_out(
    folder: Path, server: RealServer, authority: Authority, change: dict[str, str], *, exit_code: int, told: str
) -> None:
    found, said, problems = run(folder, "models", **{**reaching(server, authority, KEYS["user"]), **change})
    assert (exit_code, "", 1) == (found, said, len(problems.splitlines()))
    assert told in problems


def test_plaintext_to_a_server_of_tls_is_told_so(folder: Path, server: RealServer) -> None:
    found, _, problems = run(folder, "models", ANTIPHON_TARGET=server.target.removeprefix("https://"))
    assert (4, True) == (found, "https://" in problems)


def test_the_log_is_json_whatever_strangers_send(folder: Path, server: RealServer, authority: Authority) -> None:
    run(folder, "models", ANTIPHON_TARGET=server.target.removeprefix("https://"))
    run(folder, "models", **reaching(server, authority, KEYS["user"]))
    lines = [
        line
        for line in server.log.read_text(encoding="utf-8").splitlines()
        if line.startswith("{") or (line[:1] in "IWEF" and line[1:5].isdigit())
    ]
    assert [] == [line for line in lines if not line.startswith("{")]
    entries = [json.loads(line) for line in lines]
    assert {"user"} <= {entry.get("principal") for entry in entries}
    assert [] == [key for key in KEYS.values() if key[17:] in server.log.read_text(encoding="utf-8")]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_others_reach_does_not_start_without_knowing_who_may_call(tmp_path: Path, workers: str) -> None:
    ports = {"ANTIPHON_SERVER__GRPC_PORT": "0", "ANTIPHON_SERVER__HTTP_PORT": "0"}
    exit_code, said, problems = run(tmp_path, "serve", "--workers", workers, ANTIPHON_SERVER__HOST="0.0.0.0", **ports)  # noqa: S104  # is refused
    assert (2, "", 1) == (exit_code, said, len(problems.splitlines()))
    assert ("configuration: auth: ", True, True) == (problems[:21], "antiphon keys create" in problems, "auth.serve_anyone" in problems)
