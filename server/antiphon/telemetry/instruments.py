"""Counters, gauges and histograms that cost a call next to nothing.

They have the names and the exposition of `prometheus_client`'s, whose locks and label look-ups cost a microsecond each, too much for what happens with each
token. Theirs is one writer, the event loop's thread; a scrape may read from another one.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString  # pyright: ignore[reportUnknownVariableType]  # it takes a number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

Child = TypeVar("Child")


class _Labelled(Generic[Child]):
    """What instruments have in common: children by the values of their labels, kept for as long as the process runs."""

    def __init__(self, name: str, told: str, labels: Sequence[str], registry: CollectorRegistry | None, make: Callable[[], Child]) -> None:
        self.name = name
        self._told = told
        self._labels = tuple(labels)
        self._make = make
        self._children: dict[tuple[str, ...], Child] = {}
        if not self._labels:
            self.labels()
        if registry is not None:
            registry.register(self)

    def labels(self, *values: str) -> Child:
        """Returns what counts for these values of the labels; keep it where it is needed again."""
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self.name} has the labels {self._labels}")
            child = self._children[values] = self._make()
        return child

    def known(self) -> list[tuple[tuple[str, ...], Child]]:
        """Returns the children as they are now."""
        return list(self._children.items())

    def describe(self) -> Iterable[Metric]:
        """Returns the family without samples, by which a registry finds names that are taken."""
        return self.collect(empty=True)

    def collect(self, *, empty: bool = False) -> Iterable[Metric]:
        """Returns the family with its samples."""
        raise NotImplementedError


class Count:
    """One child of a counter."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0
        # Where it is set, it tells the value when somebody asks.
        self.read: Callable[[], int] | None = None

    def inc(self, amount: int = 1) -> None:
        """Counts."""
        self.value += amount


class Counter(_Labelled[Count]):
    """Counts what happened. Its exposed name ends with `_total`."""

    def __init__(self, name: str, told: str, labels: Sequence[str] = (), *, registry: CollectorRegistry | None = None) -> None:
        super().__init__(name, told, labels, registry, Count)

    def collect(self, *, empty: bool = False) -> Iterable[Metric]:
        """Returns the family with its samples."""
        family = CounterMetricFamily(self.name, self._told, labels=self._labels)
        for values, child in () if empty else self.known():
            family.add_metric(values, child.value if child.read is None else child.read())
        return (family,)


class Level:
    """One child of a gauge."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self.read: Callable[[], float] | None = None

    def inc(self) -> None:
        """Adds one."""
        self.value += 1

    def dec(self) -> None:
        """Takes one off."""
        self.value -= 1


class Gauge(_Labelled[Level]):
    """Tells how much there is now."""

    def __init__(self, name: str, told: str, labels: Sequence[str] = (), *, registry: CollectorRegistry | None = None) -> None:
        super().__init__(name, told, labels, registry, Level)

    def collect(self, *, empty: bool = False) -> Iterable[Metric]:
        """Returns the family with its samples."""
        family = GaugeMetricFamily(self.name, self._told, labels=self._labels)
        for values, child in () if empty else self.known():
            family.add_metric(values, child.value if child.read is None else child.read())
        return (family,)


class Distribution:
    """One child of a histogram."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Returns each bound with the count of what does not lie above it."""
        buckets: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*self._bounds, float("inf")), list(self._counts), strict=True):
            so_far += count
            buckets.append((floatToGoString(bound), so_far))
        return buckets


class Histogram(_Labelled[Distribution]):
    """Tells how values are spread over buckets."""

    def __init__(
        self, name: str, told: str, labels: Sequence[str] = (), *, buckets: Sequence[float], registry: CollectorRegistry | None = None
    ) -> None:
        bounds = tuple(map(float, buckets))
        super().__init__(name, told, labels, registry, lambda: Distribution(bounds))

    def collect(self, *, empty: bool = False) -> Iterable[Metric]:
        """Returns the family with its samples."""
        family = HistogramMetricFamily(self.name, self._told, labels=self._labels)
        for values, child in () if empty else self.known():
            family.add_metric(values, child.cumulative(), child.total)
        return (family,)
