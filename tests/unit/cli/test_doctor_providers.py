"""`antiphon doctor` asks each configured provider, all at once and not for long, says how to mend what does not answer, and shows no secret."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import SecretStr
from typer.testing import CliRunner

from antiphon.cli import doctor, provider_checks
from antiphon.cli.main import app
from antiphon.errors import ProviderFailure, Reason
from antiphon.plugins import ProviderSettings, ProviderType, load_provider_types
from tests.simulators.openai import OpenAISimulator, Raw, Silence
from tests.simulators.openai.failures import rejected_request, unauthorized
from tests.support.scripted import ScriptedModel
from tests.unit.cli.simulated import simulated

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from antiphon.plugins import ProviderTools

KEY = "sk-0123456789-very-secret"


@pytest.fixture
def simulator() -> Generator[OpenAISimulator, None, None]:
    with simulated(OpenAISimulator(api_key=KEY)) as running:
        yield running


class BrokenSettings(ProviderSettings):
    token: SecretStr = SecretStr(KEY)


def broken(name: str, section: BrokenSettings, tools: ProviderTools) -> ScriptedModel:
    del section, tools
    return ScriptedModel(provider=name, failing_ping=RuntimeError(f"with {KEY}"))


def refused(name: str, section: BrokenSettings, tools: ProviderTools) -> ScriptedModel:
    del section, tools
    failure = ProviderFailure(Reason.ERROR_REASON_PROVIDER_AUTHENTICATION_FAILED, f"refused {KEY}")
    return ScriptedModel(provider=name, failing_ping=failure)


def unbuildable(name: str, section: BrokenSettings, tools: ProviderTools) -> ScriptedModel:
    del section, tools
    raise ValueError(f"{name} with {KEY}")


def examine(folder: Path, **providers: dict[str, Any]) -> tuple[int, dict[str, dict[str, str]]]:
    document = {"server": {"grpc_port": 0, "http_port": 0}, "providers": providers, "aliases": {}}
    (folder / "antiphon.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    result = CliRunner().invoke(app, ["doctor", "--json", "--target", "127.0.0.1:1"])
    assert KEY not in result.output
    return result.exit_code, {finding["subject"]: finding for finding in json.loads(result.stdout)["findings"]}


def openai(base_url: str, **settings: Any) -> dict[str, Any]:
    return {"type": "openai", "base_url": base_url, **settings}


def test_a_provider_that_answers_works(tmp_path: Path, simulator: OpenAISimulator) -> None:
    exit_code, findings = examine(tmp_path, acme=openai(simulator.base_url, api_key=KEY))
    finding = findings["provider/acme"]
    assert (0, "works", "", "") == (exit_code, finding["verdict"], finding["mend"], finding["source"])
    assert finding["told"].startswith("answers, in ")
    assert ["/v1/models"] == [request.path for request in simulator.requests]


@pytest.mark.parametrize(
    ("settings", "mend"),
    [
        ({}, "providers.acme.api_key is not set; set it, as in `api_key: {env: NAME}`"),
        ({"api_key": ""}, "providers.acme.api_key is empty; set it, or the variable or file that it comes from"),
        ({"api_key": "sk-another"}, "correct providers.acme.api_key, or what the key may do there"),
    ],
)
def test_a_key_that_is_missing_is_told_from_one_that_is_refused(
    tmp_path: Path, simulator: OpenAISimulator, settings: dict[str, str], mend: str
) -> None:
    exit_code, findings = examine(tmp_path, acme=openai(simulator.base_url, **settings))
    assert (1, "broken", mend) == (exit_code, findings["provider/acme"]["verdict"], findings["provider/acme"]["mend"])


def test_an_address_that_cannot_be_reached_is_named_without_what_it_hides(tmp_path: Path) -> None:
    exit_code, findings = examine(tmp_path, acme=openai(f"http://user:{KEY}@127.0.0.1:1/v1"))
    finding = findings["provider/acme"]
    assert (1, "broken") == (exit_code, finding["verdict"])
    assert "could not be reached" in finding["told"]
    assert "does something answer at http://**********@127.0.0.1:1/v1? providers.acme.base_url sets it" == finding["mend"]


@pytest.mark.parametrize(
    ("reply", "verdict", "mend"),
    [
        (Raw(status=404, body=b""), "broken", "correct providers.acme.base_url"),
        (Raw(status=200, body=b"<html>", content_type="text/html"), "broken", "correct providers.acme.base_url"),
        (Raw(status=503, body=b""), "broken", "look again later"),
        (Raw(status=429, body=b""), "note", "look again later"),
        (Raw(status=402, body=b""), "broken", "the account"),
        (rejected_request(f"The key {KEY} is not valid."), "broken", "antiphon config show"),
        (unauthorized(), "broken", "correct providers.acme.api_key"),
    ],
)
def test_what_a_provider_answers_tells_how_to_mend_it(
    tmp_path: Path, simulator: OpenAISimulator, reply: Any, verdict: str, mend: str
) -> None:
    simulator.script_models(reply)
    exit_code, findings = examine(tmp_path, acme=openai(simulator.base_url, api_key=KEY))
    assert (int(verdict == "broken"), verdict) == (exit_code, findings["provider/acme"]["verdict"])
    assert mend in findings["provider/acme"]["mend"]


def test_providers_are_asked_all_at_once_and_not_for_long(
    tmp_path: Path, simulator: OpenAISimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_checks, "_TIMEOUT_S", 1.0)
    simulator.script_models(*[Silence()] * 8)
    begun_s = time.monotonic()
    exit_code, findings = examine(tmp_path, **{f"silent{index}": openai(simulator.base_url, api_key=KEY) for index in range(8)})
    assert time.monotonic() - begun_s < 5
    assert 1 == exit_code
    assert {"no answer within 1 s"} == {findings[f"provider/silent{index}"]["told"] for index in range(8)}
    assert "providers.silent0.base_url sets it" in findings["provider/silent0"]["mend"]


def test_one_that_fails_otherwise_does_not_hide_the_others(
    tmp_path: Path, simulator: OpenAISimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = {
        kind.name: kind
        for kind in (
            ProviderType(name="broken", settings=BrokenSettings, build=broken),
            ProviderType(name="refused", settings=BrokenSettings, build=refused),
            ProviderType(name="unbuildable", settings=BrokenSettings, build=unbuildable),
        )
    }
    monkeypatch.setattr(doctor, "load_provider_types", lambda: {**load_provider_types(), **kinds})
    exit_code, findings = examine(tmp_path, **{kind: {"type": kind} for kind in kinds}, acme=openai(simulator.base_url, api_key=KEY))
    assert (1, "works") == (exit_code, findings["provider/acme"]["verdict"])
    assert "an unexpected fault (RuntimeError)" == findings["provider/broken"]["told"]
    assert "an unexpected fault (ValueError)" == findings["provider/unbuildable"]["told"]
    assert "refused [redacted]" == findings["provider/refused"]["told"]
    assert "correct the credentials in providers.refused" == findings["provider/refused"]["mend"]


def test_the_embedded_model_is_not_started_and_broken_only_once(tmp_path: Path) -> None:
    exit_code, findings = examine(tmp_path, local={"type": "local"})
    assert (0, "works", "starts when it is first needed") == (
        exit_code,
        findings["provider/local"]["verdict"],
        findings["provider/local"]["told"],
    )
    document = {"embedded_model": {"weights": "/no/such.gguf"}, "server": {"grpc_port": 0, "http_port": 0}}
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    result = CliRunner().invoke(app, ["doctor", "--json", "--target", "127.0.0.1:1", "--config", str(file)])
    verdicts = {finding["subject"]: finding["verdict"] for finding in json.loads(result.stdout)["findings"]}
    assert (1, "broken", "note") == (result.exit_code, verdicts["embedded model"], verdicts["provider/local"])
