"""The second port tells health, readiness and metrics, and takes nothing else."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import aiohttp
import pytest

from antiphon.errors import ProviderFailure, Reason
from antiphon.health.monitor import Component, HealthMonitor
from antiphon.http.server import HttpServer
from antiphon.http.site import build_site
from antiphon.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


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
    server = HttpServer(build_site(monitor, metrics), "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{server.port}"
    await server.close()


async def get(url: str, method: str = "GET") -> tuple[int, str, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
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
    assert 404 == (await get(f"{url}{path}"))[0]


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
        server = HttpServer(build_site(monitor, metrics), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await server.start()
        await server.close()


async def test_an_open_connection_does_not_hold_the_shutdown(monitor: HealthMonitor, metrics: Metrics) -> None:
    server = HttpServer(build_site(monitor, metrics), "127.0.0.1", 0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    await asyncio.sleep(0.05)
    await asyncio.wait_for(server.close(), 5)
    writer.close()
