"""The metrics say what happened, in buckets fit for seconds, with labels that nobody can multiply, and without series that nobody asked for."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from antiphon.api.core.v1.usage_pb2 import Usage
from antiphon.telemetry.instruments import Counter, Gauge, Histogram
from antiphon.telemetry.loop_watch import LoopWatch
from antiphon.telemetry.metrics import Metrics
from antiphon.telemetry.model_metrics import MOST_MODELS, ModelMetrics


def test_a_counter_counts_by_label() -> None:
    registry = CollectorRegistry()
    counter = Counter("things", "Things.", ("kind",), registry=registry)
    counter.labels("a").inc()
    counter.labels("a").inc(2)
    counter.labels("b")
    assert (3, 0) == (registry.get_sample_value("things_total", {"kind": "a"}), registry.get_sample_value("things_total", {"kind": "b"}))


def test_labels_must_be_those_that_were_declared() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Counter("things", "Things.", ("kind",)).labels()


def test_a_name_can_be_taken_once() -> None:
    registry = CollectorRegistry()
    Gauge("level", "A level.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        Gauge("level", "A level.", registry=registry)


def test_a_gauge_goes_both_ways_or_is_read_when_somebody_asks() -> None:
    registry = CollectorRegistry()
    level = Gauge("level", "A level.", registry=registry).labels()
    level.inc()
    level.inc()
    level.dec()
    assert 1 == registry.get_sample_value("level")
    level.read = lambda: 7
    assert 7 == registry.get_sample_value("level")


@pytest.mark.parametrize(("value", "counts"), [(0.5, [1, 1, 1]), (1, [1, 1, 1]), (1.5, [0, 1, 1]), (9, [0, 0, 1])])
def test_a_histogram_counts_each_value_in_its_buckets(value: float, counts: list[float]) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("spread", "A spread.", buckets=(1, 2), registry=registry)
    histogram.labels().observe(value)
    assert counts == [registry.get_sample_value("spread_bucket", {"le": bound}) for bound in ("1.0", "2.0", "+Inf")]
    assert (1, value) == (registry.get_sample_value("spread_count"), registry.get_sample_value("spread_sum"))


def metrics_of_models() -> tuple[ModelMetrics, CollectorRegistry]:
    registry = CollectorRegistry()
    return ModelMetrics(registry), registry


def test_an_answer_is_timed_and_counted_once_it_is_over() -> None:
    metrics, registry = metrics_of_models()
    answer = metrics.answer("acme", "big", timed=True)
    for _ in range(4):
        answer.arrived()
    answer.used(Usage(input_tokens=1))
    answer.used(Usage(input_tokens=10, output_tokens=7, cache_read_tokens=4, cache_write_tokens=-3, reasoning_tokens=2))
    answer.close()
    labels = {"provider": "acme", "model": "big"}
    assert 1 == registry.get_sample_value("antiphon_time_to_first_token_seconds_count", labels)
    assert 3 == registry.get_sample_value("antiphon_time_between_tokens_seconds_count", labels)
    counted = {
        kind: registry.get_sample_value("antiphon_tokens_total", {**labels, "kind": kind})
        for kind in ("input", "output", "cache_read", "cache_write", "reasoning")
    }
    assert {"input": 10, "output": 7, "cache_read": 4, "cache_write": None, "reasoning": 2} == counted


def test_an_answer_in_one_piece_has_no_times_between() -> None:
    metrics, registry = metrics_of_models()
    answer = metrics.answer("acme", "big", timed=False)
    answer.arrived()
    answer.arrived()
    answer.used(Usage(output_tokens=1))
    answer.close()
    labels = {"provider": "acme", "model": "big"}
    assert None is registry.get_sample_value("antiphon_time_to_first_token_seconds_count", labels)
    assert 1 == registry.get_sample_value("antiphon_tokens_total", {**labels, "kind": "output"})


def test_a_model_that_never_answered_has_no_label_of_its_own() -> None:
    metrics, registry = metrics_of_models()
    for number in range(500):
        answer = metrics.answer("acme", f"made-up-{number}", timed=True)
        answer.failed("MODEL_NOT_FOUND")
        answer.close()
    labels = {"provider": "acme", "model": "other", "reason": "MODEL_NOT_FOUND"}
    assert 500 == registry.get_sample_value("antiphon_provider_errors_total", labels)
    assert 1 == len(metrics.errors.known())


def test_more_models_than_there_are_places_for_share_one() -> None:
    metrics, _ = metrics_of_models()
    for number in range(MOST_MODELS + 50):
        metrics.answer("acme", f"model-{number}", timed=True).arrived()
    assert MOST_MODELS + 1 == len(metrics.first_token_seconds.known())
    assert 50 == metrics.first_token_seconds.labels("acme", "other").cumulative()[-1][1]


def test_a_failure_of_a_model_that_has_answered_bears_its_name() -> None:
    metrics, registry = metrics_of_models()
    metrics.answer("acme", "big", timed=True).arrived()
    metrics.answer("acme", "big", timed=True).failed("IDLE_TIMEOUT")
    labels = {"provider": "acme", "model": "big", "reason": "IDLE_TIMEOUT"}
    assert 1 == registry.get_sample_value("antiphon_provider_errors_total", labels)


async def test_the_exposition_can_be_read_and_holds_no_created_series() -> None:
    metrics = Metrics()
    metrics.calls.labels("/a/b", "OK", "").inc()
    metrics.tell_dropped_lines(lambda: 5)
    text = await metrics.text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert 5 == families["antiphon_log_lines_dropped"].samples[0].value
    assert [] == [name for name in families if name.endswith("_created")]
    [built] = families["antiphon_build_info"].samples
    assert ({"version", "python_version"}, 1) == (set(built.labels), built.value)


@pytest.mark.may_block("holds its loop on purpose")
async def test_a_loop_that_is_held_is_seen_to_be_late() -> None:
    import time

    metrics = Metrics()
    watch = LoopWatch(metrics)
    watch.start()
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251  # held on purpose
    await asyncio.sleep(0.05)
    assert metrics.loop_lag_seconds.labels().total >= 0.2
    assert "antiphon_tasks 1.0" in await asyncio.to_thread(lambda: "\n".join(_tasks(metrics)))
    watch.close()
    assert "antiphon_tasks 0.0" in "\n".join(_tasks(metrics))
    watch.close()


def _tasks(metrics: Metrics) -> list[str]:
    return [f"{sample.name} {float(sample.value)}" for family in metrics.tasks.collect() for sample in family.samples]
