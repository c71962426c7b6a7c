"""No API key leaves this machine in plaintext unless the caller says so by name, and TLS is the default for every other machine."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from antiphon_client import AsyncClient, Client, Tls, UnavailableError
from antiphon_client.connection import connection_to, is_local
from tests.unit.client.fake_server import FakeServer


def connect(target: str | None, **given: Any) -> Any:
    defaults: dict[str, Any] = {"api_key": "", "tls": None, "metadata": {}, "allow_insecure_credentials": False, "channel_options": ()}
    return connection_to(target, **(defaults | given))


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051",
        "localhost:50051",
        "localhost",
        "[::1]:50051",
        "127.8.9.1:1",
        "unix:/run/antiphon.sock",
        "unix-abstract:antiphon",
        "dns:///localhost:50051",
        "dns:localhost:50051",
        "ipv4:127.0.0.1:50051",
        "ipv6:[::1]:50051",
        "ipv4:127.0.0.1:1,127.0.0.2:2",
    ],
)
def test_this_machine(target: str) -> None:
    assert is_local(target)


@pytest.mark.parametrize(
    "target",
    [
        "example.org:50051",
        "10.0.0.1:50051",
        "localhost.example.org:50051",
        "127.0.0.1.example.org:1",
        "dns:///example.org:50051",
        "dns://127.0.0.1/example.org:50051",
        "[2001:db8::1]:50051",
        "ipv4:127.0.0.1:1,10.0.0.1:2",
        "xds:///127.0.0.1",
        "0.0.0.0:50051",
        "",
    ],
)
def test_other_machines(target: str) -> None:
    assert not is_local(target)


def test_defaults() -> None:
    connection = connect(None)
    assert ("127.0.0.1:50051", None) == (connection.target, connection.tls)


@pytest.mark.parametrize(
    ("target", "tls", "expected_target", "expected_tls"),
    [
        ("example.org:1", None, "example.org:1", True),
        ("example.org:1", False, "example.org:1", False),
        ("https://127.0.0.1:1/", None, "127.0.0.1:1", True),
        ("http://example.org:1", None, "example.org:1", False),
        ("127.0.0.1:1", True, "127.0.0.1:1", True),
    ],
)
def test_tls_is_the_default_elsewhere(target: str, tls: bool | None, expected_target: str, expected_tls: bool) -> None:
    connection = connect(target, tls=tls)
    assert (expected_target, expected_tls) == (connection.target, connection.tls is not None)


@pytest.mark.parametrize(
    ("target", "settled"),
    [
        ("example.org", "example.org:50051"),
        ("https://example.org/", "example.org:50051"),
        ("::1", "[::1]:50051"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:7", "[::1]:7"),
        ("unix:/run/antiphon.sock", "unix:/run/antiphon.sock"),
        ("dns:///example.org:1", "dns:///example.org:1"),
    ],
)
def test_the_port_is_50051_unless_given(target: str, settled: str) -> None:
    assert settled == connect(target).target


@pytest.mark.parametrize(
    "target",
    [
        ":50051",
        "https://",
        "http://:1",
        " ",
        "a b:1",
        "host:",
        "host:x",
        "host:0",
        "host:65536",
        "host:-1",
        "a:b:c",
        "grpc://host:1",
        "https://host:1/path",
    ],
)
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="target"):
        connect(target)


def test_the_environment_names_the_files_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROOT_CERTIFICATES", "CLIENT_CERTIFICATE", "CLIENT_KEY"):
        monkeypatch.setenv(f"ANTIPHON_{name}", f"/{name}.pem")
    named = Tls(
        root_certificates=Path("/ROOT_CERTIFICATES.pem"),
        certificate_chain=Path("/CLIENT_CERTIFICATE.pem"),
        private_key=Path("/CLIENT_KEY.pem"),
    )
    assert (named, None) == (connect("https://127.0.0.1").tls, connect("127.0.0.1").tls)
    given = Tls(server_name="antiphon.test")
    assert given == connect("example.org", tls=given).tls


def test_scheme_and_tls_must_agree() -> None:
    with pytest.raises(ValueError, match="contradict"):
        connect("http://example.org:1", tls=True)


@pytest.mark.parametrize("face", [Client, AsyncClient])
def test_a_key_is_not_sent_in_plaintext_elsewhere(face: type[Client | AsyncClient], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", "k1")
    with pytest.raises(ValueError, match="plaintext"):
        face("http://example.org:50051")
    face("http://example.org:50051", api_key="")
    face("http://example.org:50051", allow_insecure_credentials=True)
    face("https://example.org:50051")
    face("127.0.0.1:50051")


def test_the_key_is_not_shown() -> None:
    assert "k1" not in repr(connect(None, api_key="k1"))


def test_loopback_calls_pass_by_a_proxy(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with Client(server.target, api_key="k1", retries=0) as client:
        client.health.check()
    assert 1 == len(server.calls)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "chain.pem"
    subject = ("-subj", "/CN=antiphon.test", "-addext", "subjectAltName=DNS:antiphon.test")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", chain, *subject],  # the system's
        check=True,
        capture_output=True,
    )
    return key, chain


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make a certificate")
def test_tls_with_a_certificate_of_ones_own(certificate: tuple[Path, Path]) -> None:
    key, chain = certificate
    pair = (key.read_bytes(), chain.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], root_certificates=pair[1], require_client_auth=True)
    tls = Tls(root_certificates=chain, certificate_chain=chain, private_key=key, server_name="antiphon.test")
    with FakeServer(credentials=credentials) as server:
        # Files are named by paths or by texts.
        named = Tls(root_certificates=str(chain), certificate_chain=str(chain), private_key=str(key), server_name="antiphon.test")
        with Client(server.target, tls=named) as client:
            assert "Hello there" == client.completions.create(model="m", messages="Hi").text
        with Client(server.target, tls=tls) as client:
            assert "Hello there" == client.completions.create(model="m", messages="Hi").text
        with Client(server.target, tls=True, retries=0) as stranger, pytest.raises(UnavailableError):
            stranger.health.check()
