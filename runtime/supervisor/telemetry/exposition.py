"""Metrics as text: in Prometheus' format, or in OpenMetrics for who asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.samples import Sample

Encode = Callable[[Any], bytes]

_TEXT, _OPENMETRICS = "text/plain", "application/openmetrics-text"
_VERSIONS = {_TEXT: ("0.0.4", "1.0.0"), _OPENMETRICS: ("1.0.0",)}  # the first is meant where none is named
_ESCAPINGS = ("underscores", "allow-utf-8")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_RANGE = re.compile(rf"(?:{_QUOTED}|[^,])+")
_PARAMETER = re.compile(rf';\s*([^\s;="]+)\s*=\s*({_QUOTED}|[^\s;"]*)')


def choose(accept: str) -> tuple[Encode, str]:
    """(encoder of a collector, content type) for an ``Accept`` header. One that asks for what there is not, or makes no
    sense, is answered in Prometheus' format."""
    offers = [(weight, *_offer(kind, parameters)) for kind, parameters, weight in _ranges(accept) if weight]
    weight, kind, version, escaping = max(offers, key=lambda offer: offer[0], default=(0, "", "", ""))
    return _encoder(kind, version, escaping) if kind and weight else _encoder(_TEXT, "0.0.4", "")


def _ranges(accept: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """(media type, parameters, weight) of each that is named."""
    for text in _RANGE.findall(accept):
        kind = text.partition(";")[0].strip().lower()
        parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(text)}
        yield kind, parameters, _weight(parameters.get("q", "1"))


def _weight(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](\.\d*)?", text, re.ASCII) else 0.0


def _offer(kind: str, parameters: dict[str, str]) -> tuple[str, str, str]:
    """(media type, version, escaping of names) that meet it; empty where none does."""
    versions = _VERSIONS.get(_TEXT if kind in ("*/*", "text/*") else kind, ())
    version = parameters.get("version", versions[0] if versions else "")
    if version not in versions:
        return "", "", ""
    escaping = parameters.get("escaping", "")
    return _OPENMETRICS if kind == _OPENMETRICS else _TEXT, version, escaping if escaping in _ESCAPINGS else ""


def _encoder(kind: str, version: str, escaping: str) -> tuple[Encode, str]:
    from prometheus_client import exposition
    from prometheus_client.openmetrics import exposition as openmetrics

    parameter = f"; escaping={escaping}" if escaping and version == "1.0.0" else ""
    if kind == _OPENMETRICS:  # "underscores" would write vllm:x_total as vllm_x_total, though a colon may stand there
        encode: Encode = partial(openmetrics.generate_latest, escaping="allow-utf-8")
    else:
        encode = partial(exposition.generate_latest, escaping=escaping or "underscores")
    return encode, f"{kind}; version={version}; charset=utf-8{parameter}"


class Collected:
    """Families of one name as one, which both formats demand."""

    def __init__(self, families: Iterable[Any]) -> None:
        self._families: dict[str, Any] = {}
        for family in families:
            known = self._families.setdefault(self._home(family), family)
            if known is not family:
                known.samples += family.samples
                known.samples.sort(key=_series)

    def collect(self) -> Iterable[Any]:
        return self._families.values()

    def _home(self, family: Metric) -> str:
        """When a counter began is a family of its own in Prometheus' format, and the counter's in OpenMetrics."""
        name: str = family.name
        counter = name.removesuffix("_created")
        return counter if family.type == "gauge" and counter in self._families else name


def _series(sample: Sample) -> list[tuple[str, str]]:
    """What tells it apart from others of its name: the samples of one series stand together."""
    return sorted((name, value) for name, value in sample.labels.items() if name not in ("le", "quantile"))


__all__ = ["Collected", "choose"]
