"""What several supervisors have counted, as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import Metric

Plain = list[Any]
"""[name, documentation, type, [[name of the sample, labels, value], ...]] of a family."""


def plain(families: Iterable[Metric]) -> list[Plain]:
    return [
        [it.name, it.documentation, it.type, [[sample.name, sample.labels, sample.value] for sample in it.samples]]
        for it in families
    ]


def together(families: Sequence[Metric], others: Sequence[Plain]) -> Sequence[Metric]:
    """The ``families`` of this supervisor, and what ``others`` have counted of the same."""
    if not others:
        return families
    from prometheus_client.core import Metric

    made = {name: Metric(name, about, kind) for name, about, kind, _ in others}
    made |= {family.name: Metric(family.name, family.documentation, family.type) for family in families}
    sums: dict[tuple[str, str, tuple[tuple[str, str], ...]], float] = {}
    for family, _, _, samples in (*plain(families), *others):
        for sample, labels, value in samples:
            key = family, sample, tuple(labels.items())
            sums[key] = sums.get(key, 0.0) + value
    for (family, sample, labels), value in sums.items():
        made[family].add_sample(sample, dict(labels), value)
    return list(made.values())


__all__ = ["plain", "together"]
