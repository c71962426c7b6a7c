"""Looks at components and remembers what they said."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from antiphon.api.health.v1.health_service_pb2 import ComponentHealth, HealthReport, HealthStatus
from antiphon.errors import AntiphonError, NotFoundError, Reason
from antiphon.telemetry.logs import logger
from antiphon.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

_CHECK_TIMEOUT_S = 5.0
# Callers may ask at any rate; components are looked at no oftener than this.
_FRESH_S = 1.0
_DEFAULT_INTERVAL_S = 5.0


@dataclass(slots=True)
class Component:
    """Something that can be looked at.

    Attributes:
        name: Its name, as in `provider/local`.
        ping: Returns when it does its work; raises what is wrong otherwise.
        is_idle: Whether it waits for its first use.
    """

    name: str
    ping: Callable[[], Awaitable[None]]
    is_idle: Callable[[], bool] = lambda: False
    health: ComponentHealth = field(default_factory=ComponentHealth)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    checked_s: float = float("-inf")


class HealthMonitor:
    """The health of one server."""

    def __init__(self, components: Sequence[Component], redactor: Redactor | None = None) -> None:
        """Knows the components; none is looked at yet.

        Args:
            components: What can be looked at.
            redactor: Takes secrets out of what components say of themselves; None: one that knows no secret by name.
        """
        self._redactor = redactor or Redactor()
        self._components = {component.name: component for component in sorted(components, key=lambda one: one.name)}
        self._draining = asyncio.Event()

    @property
    def serving(self) -> bool:
        """Whether the server takes calls."""
        return not self._draining.is_set()

    def begin_draining(self) -> None:
        """From now on the server says that it does not serve, and watchers' streams end."""
        self._draining.set()

    async def report(self, names: Sequence[str] = ()) -> HealthReport:
        """Looks at the components, all at once.

        Raises:
            NotFoundError: A name is no component's (COMPONENT_NOT_FOUND).
        """
        for name in names:
            if name not in self._components:
                raise NotFoundError(
                    Reason.ERROR_REASON_COMPONENT_NOT_FOUND,
                    f"there is no component {name!r}; there are {', '.join(self._components)}",
                    metadata={"component": name},
                )
        chosen = [self._components[name] for name in sorted(names)] if names else list(self._components.values())
        await asyncio.gather(*(_look(component, self._redactor) for component in chosen))
        report = self.overall()
        report.components.extend(component.health for component in chosen)
        return report

    def overall(self) -> HealthReport:
        """Makes the report without its components; looks at none of them."""
        return HealthReport(status=HealthStatus.HEALTH_STATUS_SERVING if self.serving else HealthStatus.HEALTH_STATUS_NOT_SERVING)

    async def watch(self, interval_s: float = 0) -> AsyncGenerator[HealthReport, None]:
        """Yields a report now and whenever a status or a last error changes; ends after the report that the server drains.

        Args:
            interval_s: How often to look, in seconds; 0 means 5.
        """
        before: object = None
        while True:
            draining = not self.serving
            report = await self.report()
            told = (report.status, [(one.name, one.status, one.last_error) for one in report.components])
            if told != before:
                before = told
                yield report
            if draining:
                return
            try:
                async with asyncio.timeout(interval_s or _DEFAULT_INTERVAL_S):
                    await self._draining.wait()
            except TimeoutError:
                continue


async def _look(component: Component, redactor: Redactor) -> None:
    loop = asyncio.get_running_loop()
    async with component.lock:
        begun_s = loop.time()
        if begun_s - component.checked_s < _FRESH_S:
            return
        health = ComponentHealth(name=component.name, status=HealthStatus.HEALTH_STATUS_SERVING, last_error=component.health.last_error)
        if component.health.HasField("last_error_time"):
            health.last_error_time.CopyFrom(component.health.last_error_time)
        problem = await _problem(component)
        if problem:
            health.status = HealthStatus.HEALTH_STATUS_NOT_SERVING
            health.last_error = redactor.text(problem)
            health.last_error_time.FromNanoseconds(time.time_ns())
        elif component.is_idle():
            health.status = HealthStatus.HEALTH_STATUS_IDLE
        health.latency.FromNanoseconds(round((loop.time() - begun_s) * 1e9))
        health.check_time.FromNanoseconds(time.time_ns())
        component.health = health
        component.checked_s = loop.time()


async def _problem(component: Component) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await component.ping()
    except AntiphonError as error:
        return error.message
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT_S:g} s"
    except Exception:  # noqa: BLE001  # a component's fault is its report, not the caller's error
        logger("antiphon.health").exception("unexpected fault", component=component.name)
        return "an unexpected fault; the server's log has it"
    return ""
