"""`antiphon doctor` finds what is broken, says how to mend it, and exits with 1 only when something that is needed does not work."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from typer.testing import CliRunner

from antiphon.api.health.v1.health_service_pb2 import CheckHealthResponse, ComponentHealth, HealthReport, HealthStatus
from antiphon.cli import machine_checks
from antiphon.cli.main import app
from antiphon.embedded.model_errors import EmbeddedModelUnavailable
from tests.simulators.openai import OpenAISimulator
from tests.unit.cli.simulated import simulated
from tests.unit.client.fake_server import Failure, FakeServer, component, report

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

FREE_PORTS = "server: {grpc_port: 0, http_port: 0}\n"
REMOTE = "providers: {acme: {type: openai, base_url: '${PROVIDER}'}}\n"


@dataclass(frozen=True)
class Configuration:
    """The file that the doctor reads."""

    file: Path
    provider: str

    def write_text(self, text: str) -> None:
        self.file.write_text(text.replace("${PROVIDER}", self.provider), encoding="utf-8")


@pytest.fixture(scope="module")
def provider() -> Generator[OpenAISimulator, None, None]:
    with simulated(OpenAISimulator(api_key=None)) as running:
        yield running


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, provider: OpenAISimulator) -> Configuration:
    """A configuration that needs nothing of this machine."""
    written = Configuration(tmp_path / "antiphon.yaml", provider.base_url)
    written.write_text(FREE_PORTS + REMOTE)
    return written


def examine(*arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    document: Any = json.loads(result.stdout)
    assert document["healthy"] is (result.exit_code == 0)
    return result.exit_code, {finding["subject"]: finding for finding in document["findings"]}


def test_all_works(server: FakeServer) -> None:
    idle = ComponentHealth(name="embedded_model", status=HealthStatus.HEALTH_STATUS_IDLE)
    server.will("CheckHealth", CheckHealthResponse(report=report(component("provider/acme"), idle)))
    exit_code, findings = examine()
    assert 0 == exit_code
    assert {
        "Python",
        "configuration",
        "embedded model",
        "memory",
        "gRPC port",
        "HTTP port",
        "disk",
        "terminal",
        "TLS",
        "server",
    } <= findings.keys()
    assert ("works", "works") == (findings["provider/acme"]["verdict"], findings["provider/acme"]["told"])
    assert "starts when it is first needed" == findings["embedded_model"]["told"]


def test_people_get_lines(server: FakeServer) -> None:
    server.will("CheckHealth", CheckHealthResponse(report=report(component("provider/acme", serves=False, last_error="refused"))))
    result = CliRunner().invoke(app, ["doctor"])
    assert 1 == result.exit_code
    assert any(line.split() == ["broken", "provider/acme", "refused"] for line in result.stdout.splitlines())
    assert "-> look at its section with `antiphon config show`" in result.stdout
    assert "Something that is needed is broken." == result.stdout.splitlines()[-1]


def test_no_server_yet_is_only_noted() -> None:
    exit_code, findings = examine("--target", "127.0.0.1:1")
    assert (0, "note") == (exit_code, findings["server"]["verdict"])
    assert "no server answers at 127.0.0.1:1; start one with `antiphon serve`" == findings["server"]["told"]


def test_a_server_elsewhere_that_does_not_answer_is_broken() -> None:
    exit_code, findings = examine("--target", "http://no-such-host.invalid:1")
    assert (1, "broken") == (exit_code, findings["server"]["verdict"])
    assert "not spoken to no-such-host.invalid:1, as was asked" == findings["TLS"]["told"]


def test_a_key_in_plaintext_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", "k1")
    exit_code, findings = examine("--target", "http://example.org:1")
    assert (1, "broken") == (exit_code, findings["server"]["verdict"])


def test_a_server_that_drains_or_fails_is_broken(server: FakeServer) -> None:
    draining = HealthReport(status=HealthStatus.HEALTH_STATUS_NOT_SERVING)
    server.will("CheckHealth", CheckHealthResponse(report=draining), Failure(grpc.StatusCode.INTERNAL, "oops"))
    assert (1, "broken") == _server_verdict()
    assert (1, "broken") == _server_verdict()


def _server_verdict() -> tuple[int, str]:
    exit_code, findings = examine()
    return exit_code, findings["server"]["verdict"]


def test_a_taken_port_is_broken_unless_an_antiphon_server_answers_there(server: FakeServer, configuration: Configuration) -> None:
    configuration.write_text(f"server: {{grpc_port: {server.port}, http_port: 0}}\n{REMOTE}")
    finding = examine()[1]["gRPC port"]
    assert ("works", f"127.0.0.1:{server.port} is taken by the Antiphon server that answers there") == (finding["verdict"], finding["told"])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        configuration.write_text(f"server: {{grpc_port: {port}, http_port: 0}}\n{REMOTE}")
        exit_code, findings = examine()
    assert (1, "broken") == (exit_code, findings["gRPC port"]["verdict"])
    assert f"127.0.0.1:{port} is taken by another program" == findings["gRPC port"]["told"]
    assert "ANTIPHON_SERVER__GRPC_PORT" in findings["gRPC port"]["mend"]


def test_what_the_server_says_is_told_apart(server: FakeServer) -> None:
    lines = CliRunner().invoke(app, ["doctor"]).stdout.splitlines()
    label = lines.index(f"The server at {server.target} says:")
    assert ["ok", "server"] == lines[label + 1].split()[:2]
    assert ["ok", "provider/local"] == lines[label + 2].split()[:2]
    assert not any(line.startswith("ok      TLS") for line in lines)
    assert f"the server at {server.target}" == examine()[1]["provider/local"]["source"]


@pytest.mark.parametrize(("weights", "advised"), [("", True), ("embedded_model: {weights: /no/such.gguf}\n", False)])
def test_only_packaged_weights_are_installed(
    configuration: Configuration, monkeypatch: pytest.MonkeyPatch, weights: str, *, advised: bool
) -> None:
    def missing(path: Path | None) -> None:
        raise EmbeddedModelUnavailable(f"no weights at {path}")

    monkeypatch.setattr(machine_checks, "locate_model_files", missing)
    configuration.write_text(FREE_PORTS + weights)
    mend = examine("--target", "127.0.0.1:1")[1]["embedded model"]["mend"]
    assert advised is ("make run" in mend)
    assert advised is not ("embedded_model.weights" in mend)


@pytest.mark.parametrize(("providers", "outcome"), [("", (1, "broken")), (REMOTE, (0, "note"))])
def test_missing_weights_matter_where_the_embedded_model_is_used(
    server: FakeServer, configuration: Configuration, monkeypatch: pytest.MonkeyPatch, providers: str, outcome: tuple[int, str]
) -> None:
    def missing(path: Path | None) -> None:
        raise EmbeddedModelUnavailable(f"no weights at {path}")

    monkeypatch.setattr(machine_checks, "locate_model_files", missing)
    configuration.write_text(FREE_PORTS + providers)
    exit_code, findings = examine()
    assert outcome == (exit_code, findings["embedded model"]["verdict"])
    assert 1 == len(server.calls)


def test_a_configuration_that_cannot_be_used_is_broken(server: FakeServer, configuration: Configuration) -> None:
    configuration.write_text("servre: {}\n")
    exit_code, findings = examine()
    assert (1, "broken") == (exit_code, findings["configuration"]["verdict"])
    assert "servre" in findings["configuration"]["told"]
    assert 1 == len(server.calls)


def test_little_memory_is_noted_where_the_embedded_model_is_used(
    server: FakeServer, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_checks, "_available_memory_bytes", lambda: 100 * 2**20)
    configuration.write_text(FREE_PORTS)
    finding = examine()[1]["memory"]
    assert ("note", "100 MB free") == (finding["verdict"], finding["told"])
    assert 1 == len(server.calls)


@pytest.mark.parametrize(("processors", "verdict"), [(2, "note"), (4, "works")])
def test_more_workers_than_processors_are_noted(
    server: FakeServer, configuration: Configuration, monkeypatch: pytest.MonkeyPatch, processors: int, verdict: str
) -> None:
    monkeypatch.setattr(machine_checks, "_processors", lambda: processors)
    configuration.write_text("server: {grpc_port: 0, http_port: 0, workers: 4}\n" + REMOTE)
    finding = examine()[1]["workers"]
    assert (verdict, f"4, on {processors} processors") == (finding["verdict"], finding["told"].removesuffix(", which they share"))
    assert 1 == len(server.calls)


def test_the_configured_server_is_asked_where_no_other_is_named(
    server: FakeServer, configuration: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTIPHON_TARGET")
    port = server.target.rpartition(":")[2]
    configuration.write_text(f"server: {{host: 0.0.0.0, grpc_port: {port}, http_port: 0}}\nauth: {{serve_anyone: true}}\n{REMOTE}")
    assert ("works", f"127.0.0.1:{port} takes calls") == ((found := examine()[1]["server"])["verdict"], found["told"])


@pytest.mark.parametrize(
    ("code", "reason", "verdict"),
    [
        (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING", "note"),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", "note"),
        (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", "broken"),
    ],
)
def test_a_server_that_tells_operators_alone_is_not_broken(server: FakeServer, code: grpc.StatusCode, reason: str, verdict: str) -> None:
    server.will("CheckHealth", Failure(code, "no", [ErrorInfo(reason=reason, domain="antiphon.api")]))
    assert verdict == examine()[1]["server"]["verdict"]
