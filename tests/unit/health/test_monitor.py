"""Components are looked at, not too often, and what they said when they failed is kept; watchers learn of every change and of the drain."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from antiphon.api.health.v1.health_service_pb2 import HealthReport, HealthStatus
from antiphon.errors import NotFoundError, ProviderFailure, Reason
from antiphon.health import monitor as monitor_module
from antiphon.health.monitor import Component, HealthMonitor

if TYPE_CHECKING:
    from collections.abc import Generator

SERVING = HealthStatus.HEALTH_STATUS_SERVING
NOT_SERVING = HealthStatus.HEALTH_STATUS_NOT_SERVING
IDLE = HealthStatus.HEALTH_STATUS_IDLE


class Patient:
    """A component that does as told."""

    def __init__(self, name: str = "patient") -> None:
        self.name = name
        self.problem: Exception | None = None
        self.wait_s = 0.0
        self.idle = False
        self.asked = 0

    async def ping(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.wait_s)
        if self.problem is not None:
            raise self.problem

    def component(self) -> Component:
        return Component(self.name, self.ping, lambda: self.idle)


@pytest.fixture
def at_once() -> Generator[None]:
    """Has every look be a fresh one."""
    with patch.object(monitor_module, "_FRESH_S", 0.0):
        yield


def told(report: HealthReport) -> list[tuple[str, int, str]]:
    return [(one.name, one.status, one.last_error) for one in report.components]


async def test_components_are_reported_by_name() -> None:
    monitor = HealthMonitor([Patient("b").component(), Patient("a").component()])
    report = await monitor.report()
    assert SERVING == report.status
    assert [("a", SERVING, ""), ("b", SERVING, "")] == told(report)
    assert report.components[0].check_time.seconds > 0
    assert not report.components[0].HasField("last_error_time")


async def test_some_can_be_asked_for() -> None:
    asked, other = Patient("a"), Patient("b")
    report = await HealthMonitor([asked.component(), other.component()]).report(["a"])
    assert ([("a", SERVING, "")], 1, 0) == (told(report), asked.asked, other.asked)


async def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(NotFoundError) as caught:
        await HealthMonitor([Patient("a").component()]).report(["a", "x"])
    assert {"component": "x"} == caught.value.metadata


async def test_the_server_serves_whatever_a_component_says() -> None:
    patient = Patient()
    patient.problem = ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone")
    report = await HealthMonitor([patient.component()]).report()
    assert (SERVING, [("patient", NOT_SERVING, "gone")]) == (report.status, told(report))
    assert report.components[0].HasField("last_error_time")


@pytest.mark.usefixtures("at_once")
async def test_the_last_error_is_kept_after_recovery() -> None:
    patient = Patient()
    monitor = HealthMonitor([patient.component()])
    patient.problem = ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "gone")
    failed = await monitor.report()
    patient.problem = None
    recovered = await monitor.report()
    assert [("patient", SERVING, "gone")] == told(recovered)
    assert failed.components[0].last_error_time == recovered.components[0].last_error_time


async def test_an_idle_component_says_so() -> None:
    patient = Patient()
    patient.idle = True
    assert [("patient", IDLE, "")] == told(await HealthMonitor([patient.component()]).report())


async def test_a_silent_component_is_given_up() -> None:
    patient = Patient()
    patient.wait_s = 60
    with patch.object(monitor_module, "_CHECK_TIMEOUT_S", 0.05):
        report = await HealthMonitor([patient.component()]).report()
    assert [("patient", NOT_SERVING, "no answer within 0.05 s")] == told(report)
    assert report.components[0].latency.ToTimedelta().total_seconds() >= 0.05


async def test_a_components_fault_is_logged_and_not_shown(log_entries: list[Any]) -> None:
    patient = Patient()
    patient.problem = RuntimeError("secret path")
    [(_, status, last_error)] = told(await HealthMonitor([patient.component()]).report())
    assert NOT_SERVING == status
    assert "secret path" not in last_error
    assert ["unexpected fault"] == [entry["event"] for entry in log_entries]


async def test_many_callers_are_one_look() -> None:
    patient = Patient()
    patient.wait_s = 0.02
    monitor = HealthMonitor([patient.component()])
    await asyncio.gather(*(monitor.report() for _ in range(50)))
    await monitor.report()
    assert 1 == patient.asked


async def test_a_caller_that_goes_away_leaves_the_next_one_its_look() -> None:
    patient = Patient()
    patient.wait_s = 0.05
    monitor = HealthMonitor([patient.component()])
    first = asyncio.create_task(monitor.report())
    await asyncio.sleep(0.01)
    first.cancel()
    assert [("patient", SERVING, "")] == told(await monitor.report())
    assert first.cancelled()


@pytest.mark.usefixtures("at_once")
async def test_a_watcher_is_told_of_changes_and_of_nothing_else() -> None:
    patient = Patient()
    async with aclosing(HealthMonitor([patient.component()]).watch(0.01)) as reports:
        assert [("patient", SERVING, "")] == told(await anext(reports))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(reports), 0.1)
    assert patient.asked > 3


@pytest.mark.usefixtures("at_once")
async def test_a_watcher_learns_of_each_change() -> None:
    patient = Patient()
    async with aclosing(HealthMonitor([patient.component()]).watch(0.01)) as reports:
        await anext(reports)
        patient.problem = ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "first")
        assert [("patient", NOT_SERVING, "first")] == told(await anext(reports))
        patient.problem = ProviderFailure(Reason.ERROR_REASON_PROVIDER_UNAVAILABLE, "second")
        assert [("patient", NOT_SERVING, "second")] == told(await anext(reports))
        patient.problem = None
        assert [("patient", SERVING, "second")] == told(await anext(reports))


async def test_a_watch_ends_with_the_report_that_the_server_drains() -> None:
    monitor = HealthMonitor([Patient().component()])
    statuses: list[int] = []

    async def watch() -> None:
        async with aclosing(monitor.watch(3600)) as reports:
            async for report in reports:
                statuses.append(report.status)  # noqa: PERF401  # seen from outside while it runs

    watching = asyncio.create_task(watch())
    await asyncio.sleep(0.02)
    assert monitor.serving
    monitor.begin_draining()
    await asyncio.wait_for(watching, 2)
    assert ([SERVING, NOT_SERVING], False) == (statuses, monitor.serving)


async def test_a_watch_of_a_draining_server_is_one_report() -> None:
    monitor = HealthMonitor([])
    monitor.begin_draining()
    assert [NOT_SERVING] == [report.status async for report in monitor.watch()]
