"""Prometheus metrics of the server. docs/MONITORING.md has the table of them all."""

from __future__ import annotations

import asyncio
import platform
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from antiphon.telemetry.instruments import Counter, Gauge, Histogram
from antiphon.telemetry.model_metrics import ModelMetrics
from antiphon.telemetry.release import RELEASE

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds; from a health check to a long answer.
_CALL_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_LAG_SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """All metrics of one server, in a registry of its own.

    Attributes:
        registry: What a scrape reads.
        calls: Calls finished, by method, code and reason.
        call_seconds: How long they took.
        calls_in_progress: Calls being worked on.
        messages_sent: Messages that went out with them.
        models: What providers' models do.
        tasks: How many tasks the event loop has.
        loop_lag_seconds: How late the event loop is.
        log_lines_dropped: Log lines that nobody took in time.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.calls = Counter("antiphon_calls", "Calls finished.", ("method", "code", "reason"), registry=registry)
        self.call_seconds = Histogram(
            "antiphon_call_duration_seconds", "From a call's arrival to its end.", ("method",), buckets=_CALL_SECONDS, registry=registry
        )
        self.calls_in_progress = Gauge("antiphon_calls_in_progress", "Calls being worked on.", ("method",), registry=registry)
        self.messages_sent = Counter("antiphon_messages_sent", "Response messages sent.", ("method",), registry=registry)
        self.models = ModelMetrics(registry)
        self.tasks = Gauge("antiphon_tasks", "Tasks of the event loop.", registry=registry)
        self.loop_lag_seconds = Histogram(
            "antiphon_event_loop_lag_seconds", "By how much the event loop missed an alarm.", buckets=_LAG_SECONDS, registry=registry
        )
        self.log_lines_dropped = Counter(
            "antiphon_log_lines_dropped", "Log lines dropped because nobody took them in time.", registry=registry
        )
        built = Gauge("antiphon_build_info", "Always 1; its labels tell what runs.", ("version", "python_version"), registry=registry)
        built.labels(RELEASE, platform.python_version()).inc()

    async def text(self) -> str:
        """Returns them in Prometheus's text format; implements `MetricsText`."""
        # The process's own figures are read from files.
        return (await asyncio.to_thread(generate_latest, self.registry)).decode()

    def tell_dropped_lines(self, count: Callable[[], int]) -> None:
        """Has the lines that a log writer dropped told with each scrape."""
        self.log_lines_dropped.labels().read = count
