"""The metrics of all workers are one exposition: each family once, each sample with its worker."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from antiphon.workers.channel import Channel
from antiphon.workers.metrics_of_all import OTHERS, MetricsOfAll, merged


def exposition(calls: int, *, with_gauge: bool = False) -> str:
    registry = CollectorRegistry()
    counter = Counter("calls", "Calls.", ("method", "why"), registry=registry)
    counter.labels("/a", 'a "quoted" {brace} \\ and\nlines').inc(calls)
    Histogram("seconds", "Time.", buckets=(1, 2), registry=registry).observe(1.5)
    if with_gauge:
        Gauge("plain", "No labels.", registry=registry).set(2.5)
    return generate_latest(registry).decode()


def parsed(text: str) -> dict[tuple[str, str], float]:
    """Each sample's name and worker with its value, read by the Prometheus client's own parser."""
    return {
        (sample.name + sample.labels.get("le", ""), sample.labels["worker"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_samples_keep_their_values_and_labels() -> None:
    text = merged({0: exposition(1), 1: exposition(2, with_gauge=True)})
    found = parsed(text)
    assert (1, 2) == (found["calls_total", "0"], found["calls_total", "1"])
    assert (0, 1) == (found["seconds_bucket1.0", "1"], found["seconds_bucket2.0", "1"])
    assert 2.5 == found["plain", "1"]
    (calls,) = [family for family in text_string_to_metric_families(text) if family.name == "calls"]
    assert {'a "quoted" {brace} \\ and\nlines'} == {sample.labels["why"] for sample in calls.samples if sample.name == "calls_total"}


def test_each_family_has_its_head_once_and_its_samples_together() -> None:
    lines = merged({0: exposition(1), 1: exposition(2)}).splitlines()
    assert 1 == lines.count("# TYPE calls_total counter")
    named = [line.partition("{")[0] for line in lines if line.startswith("calls_total{")]
    first = lines.index("# TYPE calls_total counter")
    assert ["calls_total", "calls_total"] == named
    assert all(line.startswith("calls_total{") for line in lines[first + 1 : first + 3])


async def test_a_worker_that_did_not_answer_is_left_out_and_counted() -> None:
    others: dict[str, Any] = {
        "texts": {1: exposition(2)},
        "workers": [{"worker": number, "up": number != 2, "restarts": 3, "scrape_failures": int(number == 2)} for number in range(3)],
    }

    async def answer(name: str, _: Any) -> Any:
        assert OTHERS == name
        return others

    async def nothing(_: str, __: Any) -> None:
        await asyncio.sleep(0)

    async def own() -> str:
        await asyncio.sleep(0)
        return exposition(1)

    left, right = socket.socketpair()
    worker, supervisor = await Channel.over(left, nothing), await Channel.over(right, answer)
    found = parsed(await MetricsOfAll(0, own, worker)())
    await worker.close()
    await supervisor.close()
    assert {"0", "1"} == {number for name, number in found if name == "calls_total"}
    assert [1, 1, 0] == [found["antiphon_workers", number] for number in "012"]
    assert [3, 3, 3] == [found["antiphon_worker_restarts_total", number] for number in "012"]
    assert [0, 0, 1] == [found["antiphon_worker_scrape_failures_total", number] for number in "012"]
