"""HealthService."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from antiphon.api.health.v1 import health_service_pb2 as pb

if TYPE_CHECKING:
    from antiphon.calls.call import Send
    from antiphon.health.monitor import HealthMonitor
    from antiphon.ports.call import CallContext


class HealthServicer:
    """HealthService on the wire."""

    def __init__(self, monitor: HealthMonitor) -> None:
        self._monitor = monitor

    async def check_health(self, request: pb.CheckHealthRequest, call: CallContext) -> pb.CheckHealthResponse:
        """Reports on the components."""
        del call
        return pb.CheckHealthResponse(report=await self._monitor.report(list(request.components)))

    async def watch_health(self, request: pb.WatchHealthRequest, call: CallContext, send: Send) -> None:
        """Reports now and on every change."""
        del call
        interval_s = request.interval.ToTimedelta().total_seconds()
        async with aclosing(self._monitor.watch(interval_s)) as reports:
            async for report in reports:
                await send(pb.WatchHealthResponse(report=report))
