"""What the second port answers: health, readiness, metrics."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToJson
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from antiphon.health.monitor import HealthMonitor
    from antiphon.telemetry.metrics import Metrics


def build_site(monitor: HealthMonitor, metrics: Metrics) -> Starlette:
    """Returns the application of the second port."""

    async def health(_: Request) -> Response:
        report = await monitor.report()
        return Response(MessageToJson(report, preserving_proto_field_name=True), media_type="application/json")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ready\n") if monitor.serving else PlainTextResponse("draining\n", status_code=503)

    async def show_metrics(_: Request) -> Response:
        # The process's own figures are read from files.
        text = await asyncio.to_thread(generate_latest, metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/health", health), Route("/ready", ready), Route("/metrics", show_metrics)])
