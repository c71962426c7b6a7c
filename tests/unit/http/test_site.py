"""The second port tells health, readiness and metrics, and takes nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from antiphon.config import AuthSection, ServerSection, WebSection
from antiphon.errors import ProviderFailure, Reason
from antiphon.health.monitor import Component, HealthMonitor
from antiphon.http.connections import Connection
from antiphon.http.server import HttpServer
from antiphon.http.site import build_site
from antiphon.identity.api_keys import new_key, written_hash
from antiphon.identity.directory import CallerDirectory
from antiphon.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from antiphon.http.asgi import Application, Receive, Scope, Send

KEYS = {role: new_key() for role in ("monitor", "user")}
ASKING = AuthSection.model_validate(
    {
        "keys": [
            {"id": key.split("_")[1], "hash": written_hash(key), "principal": role, "tenant": "acme", "role": role}
            for role, key in KEYS.items()
        ]
    }
)


async def no_calls(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError(f"{scope['path']} was taken for a call")


def site(monitor: HealthMonitor, metrics: Metrics, auth: AuthSection | None = None) -> Application:
    auth = auth or AuthSection()
    config: Any = SimpleNamespace(auth=auth, web=WebSection(), server=ServerSection())
    return build_site(config, no_calls, monitor, metrics.text, CallerDirectory(auth))


async def broken() -> None:
    raise ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone")


@pytest.fixture
def monitor() -> HealthMonitor:
    return HealthMonitor([Component("provider/acme", broken)])


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def url(monitor: HealthMonitor, metrics: Metrics) -> AsyncGenerator[str, None]:
    server = HttpServer(site(monitor, metrics), "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


async def get(url: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as response:
        return response.status, response.content_type, await response.text()


async def test_health_is_the_report_as_json(url: str) -> None:
    status, media_type, text = await get(f"{url}/health")
    report = json.loads(text)
    assert (200, "application/json", "HEALTH_STATUS_SERVING") == (status, media_type, report["status"])
    [component] = report["components"]
    assert ("provider/acme", "HEALTH_STATUS_NOT_SERVING", "gone") == (component["name"], component["status"], component["last_error"])


async def test_a_server_is_ready_until_it_drains(url: str, monitor: HealthMonitor) -> None:
    assert (200, "text/plain", "ready\n") == await get(f"{url}/ready")
    monitor.begin_draining()
    assert (503, "text/plain", "draining\n") == await get(f"{url}/ready")
    assert "HEALTH_STATUS_NOT_SERVING" == json.loads((await get(f"{url}/health"))[2])["status"]


async def test_metrics_are_prometheus_text(url: str, metrics: Metrics) -> None:
    metrics.calls.labels("/a.B/C", "OK", "").inc()
    status, media_type, text = await get(f"{url}/metrics")
    assert (200, "text/plain") == (status, media_type)
    assert 'antiphon_calls_total{code="OK",method="/a.B/C",reason=""} 1.0' in text
    assert "process_resident_memory_bytes" in text


@pytest.mark.parametrize("path", ["/", "/nothing", "/health/../metrics/x", "/%00", "/health%0d%0aX: y"])
async def test_nothing_else_is_there(url: str, path: str) -> None:
    status, media_type, text = await get(f"{url}{path}")
    assert (404, "application/json") == (status, media_type)
    assert "METHOD_NOT_FOUND" == json.loads(text)["details"][0]["debug"]["reason"]


@pytest.mark.parametrize(
    ("path", "role", "expected"),
    [
        ("/metrics", None, (401, "CREDENTIALS_MISSING")),
        ("/metrics", "nobody", (401, "CREDENTIALS_INVALID")),
        ("/metrics", "user", (403, "PERMISSION_DENIED")),
        ("/metrics", "monitor", (200, "")),
        ("/health", None, (401, "CREDENTIALS_MISSING")),
        ("/health", "user", (403, "PERMISSION_DENIED")),
        ("/health", "monitor", (200, "")),
        ("/ready", None, (401, "CREDENTIALS_MISSING")),
        ("/ready", "monitor", (200, "")),
    ],
)
@pytest.mark.parametrize("public", [(), ("health", "metrics")])
async def test_pages_are_shown_to_whom_the_configuration_says(
    monitor: HealthMonitor, public: tuple[str, ...], path: str, role: str | None, expected: tuple[int, str]
) -> None:
    server = HttpServer(site(monitor, Metrics(), ASKING.model_copy(update={"public": public})), "127.0.0.1", 0)
    await server.start()
    headers = {} if role is None else {"authorization": f"Bearer {KEYS.get(role, 'nonsense')}"}
    status, _, text = await get(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    await server.close()
    reason = "" if status == 200 else json.loads(text)["details"][0]["debug"]["reason"]
    assert ((200, "") if public else expected) == (status, reason)


@pytest.mark.parametrize(
    ("role", "components"), [(None, []), ("nobody", []), ("user", []), ("monitor", ["provider/acme"])], ids=lambda one: one and str(one)
)
async def test_public_health_has_its_components_for_those_who_may_read_them(
    monitor: HealthMonitor, monkeypatch: pytest.MonkeyPatch, role: str | None, components: list[str]
) -> None:
    looks: list[None] = []
    report = monitor.report
    monkeypatch.setattr(monitor, "report", lambda: looks.append(None) or report())
    server = HttpServer(site(monitor, Metrics(), ASKING), "127.0.0.1", 0)
    await server.start()
    headers = {} if role is None else {"authorization": f"Bearer {KEYS.get(role, 'nonsense')}"}
    status, media_type, text = await get(f"http://127.0.0.1:{server.port}/health", headers=headers)
    await server.close()
    shown = json.loads(text)
    assert (200, "application/json", "HEALTH_STATUS_SERVING") == (status, media_type, shown["status"])
    assert components == [one["name"] for one in shown.get("components", [])]
    assert len(components) == len(looks), "components were looked at for somebody who is not told"


async def test_a_fault_of_ours_is_told_without_what_it_was(url: str, monitor: HealthMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken_report() -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(monitor, "report", broken_report)
    status, _, text = await get(f"{url}/health")
    assert (500, "internal") == (status, json.loads(text)["code"])
    assert "secret" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed(url: str, method: str) -> None:
    assert 405 == (await get(f"{url}/health", method))[0]


async def test_the_server_does_not_tell_its_software(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/ready") as response:
        assert "server" not in response.headers


@pytest.mark.parametrize(
    "junk", [b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET " + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n"]
)
async def test_junk_is_survived(url: str, junk: bytes) -> None:
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(junk)
    writer.write_eof()
    assert (await asyncio.wait_for(reader.read(), 5))[:9] in {b"", b"HTTP/1.1 "}
    writer.close()
    await writer.wait_closed()
    assert 200 == (await get(f"{url}/ready"))[0]


async def test_a_port_that_is_taken_is_told(monitor: HealthMonitor, metrics: Metrics) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HttpServer(site(monitor, metrics), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await server.start()
        await server.close()


async def test_an_open_connection_does_not_hold_the_shutdown(monitor: HealthMonitor, metrics: Metrics) -> None:
    server = HttpServer(site(monitor, metrics), "127.0.0.1", 0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
    await asyncio.sleep(0.05)
    await asyncio.wait_for(server.close(), 5)
    writer.close()


async def test_a_head_that_never_ends_is_not_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "head_timeout_s", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"GET /health HTTP/1.1\r\n")
    with contextlib.suppress(ConnectionError):
        assert b"" == await asyncio.wait_for(reader.read(), 5)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
