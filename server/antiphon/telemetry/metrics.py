"""Prometheus metrics of the server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

# Seconds; from a health check to a long answer.
_CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Metrics:
    """All metrics of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.calls = Counter("antiphon_calls", "Calls finished.", ("method", "code", "reason"), registry=self.registry)
        self.call_seconds = Histogram(
            "antiphon_call_duration_seconds",
            "From a call's arrival to its end.",
            ("method",),
            buckets=_CALL_SECONDS,
            registry=self.registry,
        )
        self.calls_in_progress = Gauge("antiphon_calls_in_progress", "Calls being worked on.", registry=self.registry)
        self.messages_sent = Counter("antiphon_messages_sent", "Response messages sent.", ("method",), registry=self.registry)
