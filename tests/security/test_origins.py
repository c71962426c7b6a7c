"""Pages of other sites get nothing from the second port, whether they call it directly or under a name of their own."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.support.leaks import start_loop_threads
from tests.support.scripted import SCRIPTED, ScriptedModel, scripted_kinds
from tests.support.serving import COMPLETION, ServerUnderTest, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.asyncio(loop_scope="module")

APP, OTHER = "https://app.example", "https://evil.example"
PAGES = ("/ready", "/health", "/metrics", "/nothing")
CALL = f"{COMPLETION}/Complete"
BODY = b'{"spec":{"model":"default","messages":[{"role":"ROLE_USER","parts":[{"text":"Hi"}]}]}}'


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> AsyncGenerator[ServerUnderTest, None]:
    await start_loop_threads()
    settings = {
        **SCRIPTED,
        "web": {"allowed_origins": [APP, "http://[2001:db8::1]:3000"]},
    }
    async with serving(tmp_path_factory.mktemp("origins"), settings, scripted_kinds(model)) as running:
        yield running


async def ask(server: ServerUnderTest, *lines: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """Sends a request as it is written, `{port}` in it replaced, and reads the answer; 0 where the connection was closed."""
    port = server.application.http.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "Connection: close", "", ""]).replace("{port}", str(port))
    writer.write(text.encode("latin-1") + body)
    received = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, content = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    return int(status.split()[1]), {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}, content


def reason(content: bytes) -> str:
    return json.loads(content)["details"][0]["debug"]["reason"]


OWN_HOSTS = [
    "localhost", "localhost:{port}", "LOCALHOST", "LocalHost.", "localhost.:{port}", "127.0.0.1", "127.0.0.1:{port}", "127.0.0.1:1",
    "[::1]", "[::1]:{port}", "[0:0:0:0:0:0:0:1]:80", "localhost:",
]  # fmt: skip
FOREIGN_HOSTS = [
    "evil.example", "evil.example:{port}", "localhost.evil.example", "evil.example.localhost", "127.0.0.1.evil.example", "127.0.0.2",
    "192.168.1.5", "[::2]", "[::1].evil.example", "::1", "0.0.0.1", "", " ", "localhost:{port}:1", "localhost:port", "localhost/x",
    "evil.example@localhost", "localhost@evil.example", "localhost, evil.example", "localhost evil.example", "localhost..", "127.1",
    "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "lo\xe7alhost", "localhost:999999", "*",
]  # fmt: skip


@pytest.mark.parametrize("host", OWN_HOSTS)
async def test_the_server_answers_to_its_own_names(server: ServerUnderTest, host: str) -> None:
    assert 200 == (await ask(server, "GET /ready HTTP/1.1", f"Host: {host}"))[0]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
async def test_it_answers_to_no_other_name(server: ServerUnderTest, model: ScriptedModel, host: str) -> None:
    for path in PAGES:
        status, _, content = await ask(server, f"GET {path} HTTP/1.1", f"Host: {host}")
        assert (403, "HOST_NOT_ALLOWED") == (status, reason(content))
    status, _, content = await ask(server, f"POST {CALL} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", body=BODY)
    assert (403, "HOST_NOT_ALLOWED") == (status, reason(content))
    assert [] == model.asked


@pytest.mark.parametrize(
    ("lines", "statuses"),
    [
        # What is no HTTP at all the library beneath refuses by itself, untyped.
        (["GET /ready HTTP/1.1"], {400}),
        (["GET /ready HTTP/1.1", "Host: localhost", "Host: localhost"], {400}),
        (["GET /ready HTTP/1.1", "Host: localhost", "Host: evil.example"], {400}),
        (["GET /ready HTTP/1.0"], {403}),
        (["GET /ready HTTP/1.0", "Host: localhost"], {200}),
        (["GET http://evil.example/ready HTTP/1.1", "Host: localhost"], {403}),
        (["GET http://localhost/ready HTTP/1.1", "Host: localhost"], {403}),
        (["GET //evil.example/ready HTTP/1.1", "Host: localhost"], {404}),
        (["CONNECT evil.example:443 HTTP/1.1", "Host: localhost"], {403}),
        (["OPTIONS * HTTP/1.1", "Host: localhost"], {404}),
        (["GET /ready HTTP/1.1", "Host: localhost", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example"], {200}),
        (["GET /ready HTTP/1.1", "Host: evil.example", "X-Forwarded-Host: localhost", "Forwarded: host=localhost"], {403}),
    ],
)
async def test_a_name_that_is_missing_twofold_or_elsewhere(server: ServerUnderTest, lines: list[str], statuses: set[int]) -> None:
    assert (await ask(server, *lines))[0] in statuses


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:{port}", "http://localhost:{port}"),
        ("localhost:{port}", "https://LOCALHOST:{port}"),
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}"),
        ("[::1]:{port}", "http://[::1]:{port}"),
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost:443", "https://localhost"),
        ("localhost", APP),
        ("localhost", "https://APP.example:443"),
        ("localhost", "http://[2001:DB8:0::1]:3000"),
    ],
)
async def test_pages_of_its_own_and_of_known_origins_may_call(
    server: ServerUnderTest, model: ScriptedModel, host: str, origin: str
) -> None:
    model.asked.clear()
    lines = [f"POST {CALL} HTTP/1.1", f"Host: {host}", f"Origin: {origin}", "Content-Type: application/json"]
    status, headers, _ = await ask(server, *lines, body=BODY)
    assert (200, 1) == (status, len(model.asked))
    assert origin.replace("{port}", str(server.application.http.port)) == headers["access-control-allow-origin"]
    assert "Grpc-Status-Details-Bin" in headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in headers
    assert "Origin" in headers["vary"]


FOREIGN_ORIGINS = [
    OTHER, "null", "", "http://app.example", "https://app.example:444", "https://app.example.", "https://app.example.evil.example",
    "https://evil.example/app.example", "https://app.example@evil.example", "https://app.example/", "https://app.example, https://evil.example",
    "http://localhost", "http://localhost:1", "http://evil.localhost:{port}", "http://127.0.0.1:{port}", "chrome-extension://abc", "file://",
    "localhost:{port}", "//localhost:{port}", "http://localhost:{port}/x", "ftp://localhost:{port}", "https://[", "*",
]  # fmt: skip


@pytest.mark.parametrize("origin", [origin for origin in FOREIGN_ORIGINS if origin != "https://app.example."])
async def test_pages_of_other_origins_are_refused_before_any_work(server: ServerUnderTest, model: ScriptedModel, origin: str) -> None:
    model.asked.clear()
    for lines in (
        [f"POST {CALL} HTTP/1.1", "Content-Type: application/json"],
        [f"POST {CALL} HTTP/1.1", "Content-Type: application/grpc-web+proto"],
        *([f"GET {path} HTTP/1.1"] for path in PAGES),
        [f"OPTIONS {CALL} HTTP/1.1", "Access-Control-Request-Method: POST"],
    ):
        status, headers, content = await ask(server, *lines, "Host: localhost:{port}", f"Origin: {origin}", body=BODY)
        assert (403, "ORIGIN_NOT_ALLOWED") == (status, reason(content))
        assert not [name for name in headers if name.startswith("access-control")]
    assert [] == model.asked


async def test_two_origins_are_none(server: ServerUnderTest) -> None:
    status, _, content = await ask(server, "GET /ready HTTP/1.1", "Host: localhost", f"Origin: {APP}", f"Origin: {APP}")
    assert (403, "ORIGIN_NOT_ALLOWED") == (status, reason(content))


async def test_a_browser_is_told_before_it_calls_what_it_may_send(server: ServerUnderTest) -> None:
    lines = [f"OPTIONS {CALL} HTTP/1.1", "Host: localhost", f"Origin: {APP}", "Access-Control-Request-Method: POST"]
    status, headers, content = await ask(server, *lines, "Access-Control-Request-Headers: connect-protocol-version,content-type")
    assert (204, b"") == (status, content)
    assert (APP, "GET, POST") == (headers["access-control-allow-origin"], headers["access-control-allow-methods"])
    allowed = {name.strip().lower() for name in headers["access-control-allow-headers"].split(",")}
    needed = "authorization connect-protocol-version connect-timeout-ms content-type x-grpc-web grpc-timeout x-user-agent"
    assert set(needed.split()) <= allowed


async def test_a_browser_can_read_what_was_wrong(server: ServerUnderTest) -> None:
    lines = [f"POST {CALL} HTTP/1.1", "Host: localhost", f"Origin: {APP}", "Content-Type: application/json"]
    status, headers, content = await ask(server, *lines, body=b'{"spec":{}}')
    assert (400, APP, "INVALID_FIELD") == (status, headers["access-control-allow-origin"], reason(content))


@pytest.mark.parametrize(
    ("web", "allowed"),
    [
        ({"allowed_hosts": ["api.example"]}, {"api.example": True, "API.example.:80": True, "localhost": False, "127.0.0.1": True}),
        ({"allowed_hosts": ["*"]}, {"api.example": True, "localhost": True, "": False, "a b": False}),
        ({"allowed_hosts": ["[2001:db8::5]"]}, {"[2001:db8:0::5]:1": True, "[2001:db8::6]": False}),
        ({}, {"api.example": False}),
    ],
)
async def test_names_are_a_matter_of_configuration(
    tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel, web: dict[str, list[str]], allowed: dict[str, bool]
) -> None:
    settings = {**SCRIPTED, "web": web}
    async with serving(tmp_path_factory.mktemp("hosts"), settings, scripted_kinds(model)) as running:
        for host, expected in allowed.items():
            assert (200 if expected else 403) == (await ask(running, "GET /ready HTTP/1.1", f"Host: {host}"))[0], host


async def test_any_origin_is_a_matter_of_configuration(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> None:
    settings = {
        **SCRIPTED,
        "web": {"allowed_origins": ["*"]},
    }
    async with serving(tmp_path_factory.mktemp("any"), settings, scripted_kinds(model)) as running:
        for origin in (OTHER, "null"):
            status, headers, _ = await ask(running, "GET /ready HTTP/1.1", "Host: localhost", f"Origin: {origin}")
            assert (200, origin) == (status, headers["access-control-allow-origin"])
