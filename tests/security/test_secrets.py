"""No secret of the configuration leaves the process, however a provider spells it back: not in logs, errors, health, metrics, spans, nor on a terminal."""

from __future__ import annotations

import base64
import io
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, quote_plus

import aiohttp
import grpc
import pytest
import structlog
import yaml
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from typer.testing import CliRunner

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Message, Part, Role
from antiphon.api.health.v1 import health_service_pb2 as health_pb
from antiphon.cli.main import app
from antiphon.config import LogSection, load
from antiphon.telemetry.log_writer import LogWriter
from antiphon.telemetry.logs import configure_logs
from antiphon.telemetry.redaction import Redactor, secrets_of
from tests.simulators.openai import OpenAISimulator, Raw
from tests.simulators.openai.failures import Failure
from tests.support.serving import COMPLETION, INSTALLED, serving
from tests.unit.cli.simulated import simulated

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from pathlib import Path

    from tests.support.serving import ServerUnderTest

KEY = 'zq-9f"31/é+7 \\x4=&%c0de-0815'
HEADER = "h3ader&Secret'42"
PASSWORD = "p@ss/w0rd:9"
QUERY = "qu3ry-Value+1"
COLLECTOR = "c0llector-token-77"
SHORT = "x9!k"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: quote(text).replace("%C3%A9", "%c3%a9").replace("%22", "%22"),
    "form": quote_plus,
    "percent twice": lambda text: quote(quote(text)),
    "percent, every letter": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "JSON, letters as they are": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "a literal": repr,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for the web": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 behind a user": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "base64 among others": lambda text: base64.b64encode(f"ab{text}cd".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "cut off": lambda text: text[:14],
}


def marks(secret: str) -> list[str]:
    """Returns what must be nowhere: the secret in each spelling, as far as that is longer than a word."""
    found = [spell(secret) for spell in SPELLINGS.values()]
    found += [base64.b64encode(b"\0" * before + secret.encode()).decode()[4:-4] for before in range(3)]
    return [mark for mark in found if len(mark) >= 8]


def settings(base_url: str, collector: str) -> dict[str, Any]:
    hidden = base_url.replace("://", f"://user:{quote(PASSWORD, safe='')}@")
    openai = {"type": "openai", "models": [{"id": "gpt-5"}]}
    return {
        "providers": {
            "acme": {**openai, "base_url": base_url, "headers": {"X-Key": KEY.replace("é", "e"), "X-Short": SHORT, "X-More": HEADER}},
            "hidden": {**openai, "base_url": hidden},
            "asked": {**openai, "base_url": f"{base_url}?sig={quote(QUERY, safe='')}"},
            "keyed": {**openai, "base_url": base_url, "api_key": KEY.replace("é", "e")},
        },
        "aliases": {"default": "acme/gpt-5"},
        "telemetry": {
            "traces": "otlp",
            "otlp_endpoint": f"http://{collector}",
            "otlp_headers": {"authorization": f"Bearer {COLLECTOR}"},
            "record_content": True,
        },
        "log": {"level": "debug", "access": True, "format": "json"},
    }


# What a header can hold; the letter beyond ASCII is for the redactor's own tests.
SENT_KEY = KEY.replace("é", "e")
SECRETS = (SENT_KEY, HEADER, PASSWORD, QUERY, COLLECTOR)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("secret", [KEY, HEADER, PASSWORD, "a-token-of-40-letters-abcdefghijklmnopqrs", "💥 emoji-in-a-key 💥"])
def test_a_secret_is_known_in_each_spelling(secret: str, spelling: str) -> None:
    if spelling == "cut off" and len(secret) < 16:
        pytest.skip("so short a secret counts as a whole")
    spelt = SPELLINGS[spelling](secret)
    told = Redactor([secret]).text(f"it said <{spelt}> and more")
    assert "[redacted]" in told
    assert told.startswith("it said <")
    assert told.endswith("> and more")
    assert [] == [mark for mark in (*marks(secret), secret[:14]) if mark in told and len(mark) > 7]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_redactor_that_does_not_know_it_would_let_it_pass(spelling: str) -> None:
    spelt = SPELLINGS[spelling](KEY)
    assert f"<{spelt}>" == Redactor([]).text(f"<{spelt}>")


class Everything:
    """All that left the process."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()
        self.told: list[str] = []
        self.spans = 0

    def holds(self) -> list[str]:
        text = "\n".join([*self.told, self.stream.getvalue().decode()])
        return [mark for secret in SECRETS for mark in marks(secret) if mark in text] + ([SHORT] if SHORT in text else [])


@pytest.fixture
def simulator() -> Generator[OpenAISimulator, None, None]:
    with simulated(OpenAISimulator(api_key=None, models=("gpt-5",))) as running:
        yield running


@asynccontextmanager
async def collector(everything: Everything) -> AsyncGenerator[str, None]:
    """Takes spans, and looks at them as the text that they are."""

    async def export(body: bytes, context: Any) -> bytes:
        del context
        everything.spans += 1
        everything.told.append(MessageToJson(ExportTraceServiceRequest.FromString(body), ensure_ascii=False))
        return ExportTraceServiceResponse().SerializeToString()

    class Handlers(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            del handler_call_details
            return cast("Any", grpc.unary_unary_rpc_method_handler(export))

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def watched(folder: Path, simulator: OpenAISimulator) -> AsyncGenerator[tuple[ServerUnderTest, Everything], None]:
    everything = Everything()
    writer = LogWriter(everything.stream)
    try:
        async with collector(everything) as target:
            document = settings(simulator.base_url, target)
            file = folder / "watched.yaml"
            file.write_text(yaml.safe_dump(document), encoding="utf-8")
            redactor = Redactor(secrets_of(load(INSTALLED, file=file, environment={})))
            configure_logs(LogSection(level="debug", format="json"), writer, redactor, traced=True)
            async with serving(folder, document) as server:
                yield server, everything
    finally:
        writer.close()
        structlog.reset_defaults()


def spec(provider: str) -> CompletionSpec:
    return CompletionSpec(model=f"{provider}/gpt-5", messages=[Message(role=Role.ROLE_USER, parts=[Part(text="Hi")])])


def told_by(secret: str) -> list[Any]:
    """Returns the replies in which a provider gives a secret back: in bodies, headers, and in mid-stream."""
    replies: list[Any] = []
    for name, spell in SPELLINGS.items():
        spelt = spell(secret)
        replies.append(Failure(400, f"You sent {spelt} to us", "invalid_request_error", spelt[:100], spelt[:60]))
        replies.append(Failure(500, f"Broken: {spelt}", spelt[:100], None))
        if spelt.isascii() and spelt.isprintable() and name != "cut off":
            replies.append(Failure(429, spelt, "requests", spelt[:90], headers={"x-request-id": spelt, "retry-after": spelt}))
        error = json.dumps({"error": {"message": f"in mid-stream: {spelt}", "type": "invalid_request_error", "code": spelt[:90]}})
        replies.append(Raw(f"data: {error}\n\n".encode()))
        replies.append(Raw(f"data: {spelt}\n\n".encode()))
    return replies


@pytest.mark.lingers("the log's thread is ended by the test")
@pytest.mark.may_block("configures logs on its loop")
@pytest.mark.parametrize("secret", [SENT_KEY, HEADER, PASSWORD, QUERY])
async def test_nothing_that_leaves_the_server_holds_a_secret_that_its_provider_gave_back(
    tmp_path: Path, simulator: OpenAISimulator, secret: str
) -> None:
    async with watched(tmp_path, simulator) as (server, everything):
        replies = told_by(secret)
        simulator.script(*replies)
        simulator.script_models(Failure(400, f"You sent {secret}", "invalid_request_error", secret[:60]))
        for number in range(len(replies)):
            method = "StreamComplete" if number % 2 else "Complete"
            request = (pb.StreamCompleteRequest if number % 2 else pb.CompleteRequest)(spec=spec("acme"))
            failure = await server.refused(f"{COMPLETION}/{method}", request)
            everything.told += [failure.message, str(failure.metadata), str(failure.provider_error)]
        report = await server.unary(
            "/antiphon.api.health.v1.HealthService/CheckHealth", health_pb.CheckHealthRequest(), health_pb.CheckHealthResponse
        )
        everything.told.append(MessageToJson(report, ensure_ascii=False))
        async with aiohttp.ClientSession() as session:
            for place in ("metrics", "health"):
                async with session.get(f"{server.http_url}/{place}") as response:
                    everything.told.append(await response.text())
    assert everything.spans
    assert "[redacted]" in "".join(everything.told)
    lines = [json.loads(line) for line in everything.stream.getvalue().splitlines()]
    assert [] == [line for line in lines if line["event"] == "call" and line["code"] != "OK" and not line.get("trace_id")]
    assert [] == everything.holds()


@pytest.mark.parametrize("command", [["doctor", "--json", "--target", "127.0.0.1:1"], ["config", "show"]])
def test_nothing_on_the_terminal_holds_a_secret(
    tmp_path: Path, simulator: OpenAISimulator, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = {**settings(simulator.base_url, "127.0.0.1:1"), "server": {"grpc_port": 0, "http_port": 0}}
    (tmp_path / "antiphon.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    spelt = " ".join(spell(secret) for secret in (SENT_KEY, HEADER) for spell in SPELLINGS.values())
    simulator.script_models(*(Failure(400, spelt[:450], "invalid_request_error", SENT_KEY) for _ in range(4)))
    everything = Everything()
    everything.told.append(CliRunner().invoke(app, command).output)
    assert "acme" in everything.told[0]
    assert [] == everything.holds()
