"""What providers' models do, in figures: how soon, how fast, how many tokens, and how they fail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from antiphon.telemetry.instruments import Counter, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from antiphon.api.core.v1.usage_pb2 import Usage
    from antiphon.telemetry.instruments import Distribution

# Seconds; from a cached answer to a model that thinks before it speaks.
_FIRST_TOKEN_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 20, 30, 60, 120)
# Seconds; from tokens that arrived together to a model that has stalled.
_BETWEEN_TOKENS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 60)
# Where a provider takes models that nobody listed, callers name them.
MOST_MODELS = 200
OTHER = "other"


class ModelMetrics:
    """The metrics of all models of one server.

    A model has its own label once it has answered: a name that a caller made up never takes one of the 200 places. What has no place is `other`.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        labels = ("provider", "model")
        self.first_token_seconds = Histogram(
            "antiphon_time_to_first_token_seconds",
            "From asking a provider to the first of its answer, streams alone.",
            labels,
            buckets=_FIRST_TOKEN_SECONDS,
            registry=registry,
        )
        self.between_tokens_seconds = Histogram(
            "antiphon_time_between_tokens_seconds",
            "Between two deliveries of a stream, each of one token or of several that arrived together.",
            labels,
            buckets=_BETWEEN_TOKENS_SECONDS,
            registry=registry,
        )
        self.tokens = Counter("antiphon_tokens", "Tokens as providers count them, by kind.", (*labels, "kind"), registry=registry)
        self.errors = Counter("antiphon_provider_errors", "Answers that a provider failed to give.", (*labels, "reason"), registry=registry)
        self._models: set[tuple[str, str]] = set()

    def answer(self, provider: str, model: str, *, timed: bool) -> AnswerMetrics:
        """Begins to measure one answer, which the provider is asked for now.

        Args:
            provider: The provider's configured name.
            model: Its own name of the model.
            timed: Whether the answer comes in pieces, whose times mean something.
        """
        return AnswerMetrics(self, provider, model, timed=timed)

    def model_label(self, provider: str, model: str, *, answered: bool) -> str:
        """Returns what a model is called in the metrics."""
        known = (provider, model)
        if known in self._models:
            return model
        if not answered or len(self._models) >= MOST_MODELS:
            return OTHER
        self._models.add(known)
        return model


class AnswerMetrics:
    """Measures one answer. What happens with each token is two additions; the rest is done once."""

    __slots__ = ("_answered", "_between", "_last_s", "_metrics", "_model", "_provider", "_timed", "_usage")

    def __init__(self, metrics: ModelMetrics, provider: str, model: str, *, timed: bool) -> None:
        self._metrics = metrics
        self._provider = provider
        self._model = model
        self._timed = timed
        self._answered = False
        self._between: Distribution | None = None
        self._usage: Usage | None = None
        self._last_s = time.perf_counter()

    def arrived(self) -> None:
        """Notes that something of the answer arrived."""
        between = self._between
        if between is not None:
            now_s = time.perf_counter()
            between.observe(now_s - self._last_s)
            self._last_s = now_s
        elif not self._answered:
            self._begin()

    def used(self, usage: Usage) -> None:
        """Notes what the answer used so far; the last note counts."""
        self._usage = usage

    def failed(self, reason: str) -> None:
        """Counts a failure of the provider, by the contract's reason."""
        self._metrics.errors.labels(self._provider, self._label(), reason).inc()

    def close(self) -> None:
        """Counts the tokens, however the answer ended."""
        usage = self._usage
        if usage is None:
            return
        kinds = {
            "input": usage.input_tokens,
            "output": usage.output_tokens,
            "cache_read": usage.cache_read_tokens,
            "cache_write": usage.cache_write_tokens,
            "reasoning": usage.reasoning_tokens,
        }
        label = self._label()
        for kind, count in kinds.items():
            # A provider's figures are its own: a counter never goes down.
            if count > 0:
                self._metrics.tokens.labels(self._provider, label, kind).inc(count)

    def _begin(self) -> None:
        self._answered = True
        label = self._label()
        if self._timed:
            now_s = time.perf_counter()
            self._metrics.first_token_seconds.labels(self._provider, label).observe(now_s - self._last_s)
            self._between = self._metrics.between_tokens_seconds.labels(self._provider, label)
            self._last_s = now_s

    def _label(self) -> str:
        return self._metrics.model_label(self._provider, self._model, answered=self._answered)
