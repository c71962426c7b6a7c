"""Clients that nobody here wrote get unary answers, streams and error details from the second port."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.real_server import RealServer

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).parent / "buf"
COMPLETION, MODELS = "antiphon.api.completion.v1.CompletionService", "antiphon.api.model.v1.ModelService"
SPEC = {
    "model": "default",
    "messages": [{"role": "ROLE_USER", "parts": [{"text": "Say hello."}]}],
    "sampling": {"maxOutputTokens": 8},
}


def run(*command: str | Path, code: int | None = 0, given: bytes = b"") -> tuple[bytes, bytes]:
    done = subprocess.run(command, input=given, capture_output=True, timeout=55, check=False, cwd=ROOT)
    assert code is None or code == done.returncode, done.stderr
    return done.stdout, done.stderr


def buf_curl(server: RealServer, protocol: str, method: str, request: dict[str, Any], code: int | None = 0) -> tuple[list[Any], str]:
    """Calls by `buf curl`; returns what it printed as JSON, and its complaint."""
    url = f"http://{server.target}" if protocol == "grpc" else server.http_url
    more = ["--http2-prior-knowledge"] if protocol == "grpc" else []
    out, complaint = run(
        BUF, "curl", "--schema", "proto", "--protocol", protocol, *more, "--data", json.dumps(request), f"{url}/{method}", code=code
    )
    decoder, text, found = json.JSONDecoder(), out.decode().strip(), list[Any]()
    while text:
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:].strip()
    return found, complaint.decode()


@pytest.mark.parametrize("protocol", ["connect", "grpcweb", "grpc"])
def test_buf_curl_gets_answers_streams_and_details(embedded_server: RealServer, protocol: str) -> None:
    [answer], _ = buf_curl(embedded_server, protocol, f"{COMPLETION}/Complete", {"spec": SPEC})
    assert answer["completion"]["message"]["parts"][0]["text"]
    events, _ = buf_curl(embedded_server, protocol, f"{COMPLETION}/StreamComplete", {"spec": SPEC})
    assert "completed" in events[-1]["event"]
    assert 3 < len(events)
    _, complaint = buf_curl(embedded_server, protocol, f"{MODELS}/GetModel", {"name": "nobody/x"}, None)
    assert ("not_found", "google.rpc.ErrorInfo") == (json.loads(complaint)["code"], json.loads(complaint)["details"][0]["type"])
    bad = {**SPEC, "sampling": {"temperature": 9}}
    for method in ("Complete", "StreamComplete"):
        _, complaint = buf_curl(embedded_server, protocol, f"{COMPLETION}/{method}", {"spec": bad}, None)
        assert "invalid_argument" == json.loads(complaint)["code"]
        assert ["google.rpc.ErrorInfo", "google.rpc.BadRequest"] == [one["type"] for one in json.loads(complaint)["details"]]


@pytest.mark.parametrize(("protocol", "codec"), [("CONNECT", "proto"), ("CONNECT", "json"), ("GRPC_WEB", "proto"), ("GRPC_WEB", "json")])
def test_connects_own_client_gets_answers_streams_and_details(embedded_server: RealServer, protocol: str, codec: str) -> None:
    out, _ = run(sys.executable, "-m", "tests.interop.connect_client", embedded_server.http_url, protocol, codec)
    found = json.loads(out)
    assert found["text"]
    assert found["streamed"]
    assert found["completed"]
    expected = ["not_found", ["google.rpc.ErrorInfo"], True]
    assert (expected, expected) == (found["unary error"], found["stream error"])


def test_curl_gets_an_answer_a_stream_and_details(embedded_server: RealServer) -> None:
    url = f"{embedded_server.http_url}/{COMPLETION}"
    out, _ = run("curl", "-sS", "--fail", f"{url}/Complete", "-H", "content-type: application/json", "-d", json.dumps({"spec": SPEC}))
    assert json.loads(out)["completion"]["message"]["parts"][0]["text"]
    body = json.dumps({"spec": SPEC}).encode()
    given = b"\x00" + len(body).to_bytes(4, "big") + body
    stream = ("-H", "content-type: application/connect+json", "--data-binary", "@-")
    out, _ = run("curl", "-sSN", "--fail", f"{url}/StreamComplete", *stream, given=given)
    contents: list[Any] = []
    while out:
        size = int.from_bytes(out[1:5], "big")
        contents.append(json.loads(out[5 : 5 + size]))
        out = out[5 + size :]
    assert "completed" in contents[-2]["event"]
    assert {} == contents[-1]
    refused = ("-H", "content-type: application/json", "-d", '{"spec": {"model": "nobody/x", "messages": []}}')
    out, _ = run("curl", "-sS", "-w", "\n%{http_code}", f"{url}/Complete", *refused)
    error, status = out.decode().rsplit("\n", 1)
    assert ("400", "EMPTY_CONVERSATION") == (status, json.loads(error)["details"][0]["debug"]["reason"])
    for header in ("Host: evil.example", "Origin: https://evil.example"):
        out, _ = run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", header, f"{url}/Complete", *refused)
        assert b"403" == out
