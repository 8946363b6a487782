"""What a supervisor counts, for Prometheus. Counting is a few additions; the library waits for the first scrape."""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Metric


class Counter:
    """A number that grows, for each combination of labels."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._values = defaultdict[tuple[str, ...], float](float)

    def add(self, *labels: str, by: float = 1) -> None:
        self._values[labels] += by

    def family(self) -> Metric:
        """As ``prometheus_client`` knows it."""
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return family


class Histogram:
    """How many values lie at or under each of ``bounds``, and their sum, for each combination of labels."""

    def __init__(self, name: str, about: str, bounds: Sequence[float], *labels: str) -> None:
        self._name, self._about, self._bounds, self._labels = name, about, tuple(bounds), labels
        self._rows: dict[tuple[str, ...], list[float]] = {}  # a count per bound, one for what is over, the sum

    def add(self, counted: Sequence[float], *labels: str) -> None:
        """What was counted elsewhere: a count per bound, one for what is over, the sum."""
        before = self._rows.get(labels, [0.0] * (len(self._bounds) + 2))
        self._rows[labels] = list(map(operator.add, before, counted))

    def observe(self, value: float, *labels: str, times: int = 1) -> None:
        row = self._rows.get(labels) or self._rows.setdefault(labels, [0.0] * (len(self._bounds) + 2))
        row[bisect_left(self._bounds, value)] += times
        row[-1] += value * times

    def family(self) -> Metric:
        """As ``prometheus_client`` knows it."""
        from prometheus_client.core import HistogramMetricFamily

        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        names = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        for labels, row in self._rows.items():
            family.add_metric(labels, list(zip(names, accumulate(row[:-1]), strict=True)), row[-1])
        return family


def gauge(name: str, about: str, label: str, values: dict[str, float]) -> Metric:
    """A number that goes up and down, by one label, as ``prometheus_client`` knows it."""
    return gauges(name, about, (label,), {(value_of,): value for value_of, value in values.items()})


def gauges(name: str, about: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]) -> Metric:
    """The same by several labels."""
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, about, labels=labels)
    for values_of, value in values.items():
        family.add_metric(values_of, value)
    return family


__all__ = ["Counter", "Histogram", "gauge", "gauges"]
