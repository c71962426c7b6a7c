"""In a pipe the chat prints plain text or lines of JSON and ends, with one line and an exit code for whatever is expected to go wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from typer.testing import CliRunner, Result

from antiphon.api.model.v1.model_service_pb2 import ListModelsResponse
from antiphon.cli.main import app
from tests.support.tracing import UNTRACED_THREADS
from tests.unit.client.fake_server import Failure, FakeServer, Hang, completed, events, model, text_part

PROGRAM = [sys.executable, "-c", f"{UNTRACED_THREADS}\nfrom antiphon.cli.main import run; run()"]


def run(*arguments: str, piped: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=piped)


def failure(code: grpc.StatusCode, reason: str, message: str = "scripted", **metadata: str) -> Failure:
    return Failure(code, message, [ErrorInfo(reason=reason, domain="antiphon.api", metadata=metadata)])


def test_a_question_from_a_pipe_is_answered_in_plain_text(server: FakeServer) -> None:
    result = run("chat", piped="Hi\n")
    assert (0, "Hello there\n", "") == (result.exit_code, result.stdout, result.stderr)
    assert ["Hi\n"] == [part.text for part in server.requests("StreamComplete")[0].spec.messages[0].parts]


def test_what_is_piped_in_follows_the_prompt(server: FakeServer) -> None:
    assert 0 == run("chat", "--system", "Be brief.", "Summarise:", piped="a long text").exit_code
    assert ["Be brief.", "Summarise:\n\na long text"] == [one.parts[0].text for one in server.requests("StreamComplete")[0].spec.messages]


def test_options_reach_the_server(server: FakeServer) -> None:
    assert 0 == run("chat", "-m", "acme/large", "--temperature", "0.5", "--max-tokens", "7", "Hi").exit_code
    spec = server.requests("StreamComplete")[0].spec
    assert ("acme/large", 0.5, 7) == (spec.model, spec.sampling.temperature, spec.sampling.max_output_tokens)
    assert [] == server.requests("ListModels")


@pytest.mark.parametrize(("models", "asked"), [([model("a/1"), model("b/2", "default")], "b/2"), ([model("a/1"), model("b/2")], "a/1")])
def test_the_default_model(server: FakeServer, models: list[Any], asked: str) -> None:
    server.will("ListModels", ListModelsResponse(models=models))
    assert 0 == run("chat", "Hi").exit_code
    assert asked == server.requests("StreamComplete")[0].spec.model


def test_a_server_without_models_is_a_line(server: FakeServer) -> None:
    server.will("ListModels", ListModelsResponse())
    result = run("chat", "Hi")
    assert (5, "antiphon: the server has no model; `antiphon doctor` says why\n") == (result.exit_code, result.stderr)


def test_json_is_an_event_a_line(server: FakeServer) -> None:
    result = run("chat", "--json", "Hi")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert 0 == result.exit_code
    assert ["started", "partStarted", "partDelta", "partDelta", "partEnded", "completed"] == [
        next(iter(line.keys() - {"streamId", "sequence", "time"})) for line in lines
    ]
    assert "Hello there" == "".join(line["partDelta"]["text"] for line in lines if "partDelta" in line)
    assert 1 == len(server.requests("StreamComplete"))


def test_a_failure_is_the_last_line_of_json(server: FakeServer) -> None:
    broken = failure(grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE", "gone")
    server.will("StreamComplete", [*events(*text_part("Half")), broken])
    result = run("chat", "--json", "Hi")
    assert 1 == result.exit_code
    error: dict[str, Any] = {"code": "UNAVAILABLE", "reason": "PROVIDER_UNAVAILABLE", "message": "gone", "metadata": {}}
    assert {"error": error} == json.loads(result.stdout.splitlines()[-1])
    assert "antiphon: PROVIDER_UNAVAILABLE: gone\n" == result.stderr


def test_nothing_asked_is_a_line() -> None:
    result = run("chat", piped=" \n")
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("antiphon: nothing was asked;")


BAD_REQUEST = BadRequest(field_violations=[BadRequest.FieldViolation(field="spec.sampling.top_k", description="too many")])


@pytest.mark.parametrize(
    ("broken", "exit_code", "line"),
    [
        (
            failure(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", model="acme/nope"),
            5,
            "there is no model 'acme/nope'; `antiphon models` lists what is there",
        ),
        (
            Failure(grpc.StatusCode.INVALID_ARGUMENT, "not so", [ErrorInfo(reason="INVALID_FIELD", domain="antiphon.api"), BAD_REQUEST]),
            1,
            "INVALID_FIELD: not so; spec.sampling.top_k: too many",
        ),
        (Failure(grpc.StatusCode.UNAUTHENTICATED, "who?"), 1, "UNAUTHENTICATED: who?; the API key is read from ANTIPHON_API_KEY"),
        (Failure(grpc.StatusCode.INTERNAL, "oops"), 1, "INTERNAL: oops"),
        (
            Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down", [RetryInfo(retry_delay=Duration(seconds=7, nanos=500_000_000))]),
            1,
            "RESOURCE_EXHAUSTED: slow down; retry after 7.5 s",
        ),
    ],
)
def test_a_failed_call_is_a_line(server: FakeServer, broken: Failure, exit_code: int, line: str) -> None:
    server.will("StreamComplete", [broken])
    result = run("chat", "Hi")
    assert (exit_code, "", f"antiphon: {line}\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize(
    ("named", "line"),
    [
        ("gpt-4o-mini", "there is no model 'gpt-4o-mini': models are named provider/model; did you mean openai/gpt-4o-mini?"),
        ("openai/gpt-4o-mni", "there is no model 'openai/gpt-4o-mni'; did you mean openai/gpt-4o-mini?"),
        ("defualt", "there is no model 'defualt': models are named provider/model; did you mean default?"),
        ("zzz", "there is no model 'zzz': models are named provider/model; `antiphon models` lists what is there"),
    ],
)
def test_a_model_that_is_not_there_brings_the_nearest_to_mind(server: FakeServer, named: str, line: str) -> None:
    server.will("ListModels", ListModelsResponse(models=[model("openai/gpt-4o-mini"), model("local/tiny", "default")]))
    server.will("StreamComplete", [failure(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", model=named)])
    result = run("chat", "-m", named, "Hi")
    assert (5, f"antiphon: {line}\n") == (result.exit_code, result.stderr)


def test_a_failure_in_the_middle_begins_a_new_line(server: FakeServer) -> None:
    server.will("StreamComplete", [*events(*text_part("Half")), failure(grpc.StatusCode.UNAVAILABLE, "PROVIDER_UNAVAILABLE", "gone")])
    result = run("chat", "Hi")
    assert (1, "Half\n", "antiphon: PROVIDER_UNAVAILABLE: gone\n") == (result.exit_code, result.stdout, result.stderr)


@pytest.mark.parametrize("option", ["--version"])
def test_the_version(option: str) -> None:
    result = run(option)
    assert (0, f"antiphon {version('antiphon')}\n") == (result.exit_code, result.stdout)


def test_a_name_that_cannot_be_resolved_is_a_line() -> None:
    result = run("chat", "Hi", "--target", "http://no-such-host.invalid")
    assert (4, "antiphon: the name 'no-such-host.invalid' cannot be resolved\n") == (result.exit_code, result.stderr)


def test_a_target_that_is_none_is_a_line() -> None:
    result = run("chat", "Hi", "--target", "localhost:port")
    assert 2 == result.exit_code
    assert "the port of the target 'localhost:port'" in result.stderr


def test_another_server_is_a_line(server: FakeServer) -> None:
    server.will("ListModels", Failure(grpc.StatusCode.UNIMPLEMENTED, "Method not found!"))
    result = run("chat", "Hi")
    expected = f"antiphon: what answers at {server.target} does not know this call: it is no Antiphon server, or an older one\n"
    assert (1, expected) == (result.exit_code, result.stderr)


@pytest.mark.parametrize("command", [("chat", "Hi"), ("models",), ("models", "x"), ("chat", "--json", "-m", "x", "Hi")])
def test_no_server_is_a_line(command: tuple[str, ...]) -> None:
    result = run(*command, "--target", "127.0.0.1:1")
    assert (4, "antiphon: no server answers at 127.0.0.1:1; start one with `antiphon serve`\n") == (result.exit_code, result.stderr)


def test_a_server_without_tls_is_a_line(server: FakeServer) -> None:
    result = run("chat", "Hi", "--target", f"https://{server.target}")
    assert 4 == result.exit_code
    told = f"antiphon: no connection to {server.target}: the server speaks no TLS there; `http://` before the target asks for plaintext ("
    assert result.stderr.startswith(told)


def test_a_key_that_would_go_out_in_plaintext_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", "k1")
    result = run("chat", "Hi", "--target", "http://example.org:50051")
    assert 2 == result.exit_code
    assert "plaintext" in result.stderr


def test_a_reader_that_leaves_ends_it_quietly(server: FakeServer) -> None:
    server.will("StreamComplete", events(*text_part(*["many words "] * 200), completed()))
    program = subprocess.Popen([*PROGRAM, "chat", "--json", "Hi"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    with program.stderr:
        assert b"" == program.stderr.read()
    assert 1 == program.wait(50)


def test_ctrl_c_in_a_pipe_cancels_the_call(server: FakeServer) -> None:
    server.will("StreamComplete", [*events(*text_part("Once")), Hang()])
    program = subprocess.Popen([*PROGRAM, "chat", "Hi"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    assert b"Once" == os.read(program.stdout.fileno(), 100)
    program.send_signal(signal.SIGINT)
    assert (b"", b"") == program.communicate(timeout=50)
    assert 130 == program.returncode
    assert server.cancelled.wait(10)
