"""What the load generator is given, and what it answers."""

from __future__ import annotations

import msgspec

# Every figure a window can have, in the order of the table: key → (heading, whether more is better).
FIGURES: dict[str, tuple[str, bool]] = {
    "events_per_s": ("events/s", True),
    "tokens_per_s": ("tokens/s", True),
    "ttft_p50_ms": ("TTFT p50 ms", False),
    "ttft_p99_ms": ("TTFT p99 ms", False),
    "itl_p50_ms": ("ITL p50 ms", False),
    "itl_p99_ms": ("ITL p99 ms", False),
    "requests_per_s": ("req/s", True),
    "latency_p50_ms": ("p50 ms", False),
    "latency_p99_ms": ("p99 ms", False),
    "gpu_idle_percent": ("GPU idle %", False),
}


class Job(msgspec.Struct, frozen=True):
    """One window: ``streams`` connections to ``url`` for ``seconds``, on CPU ``cpu`` if one is named."""

    url: str
    method: str = "GET"
    headers: list[tuple[str, str]] = []
    body: str = ""
    streams: int = 1
    seconds: float = 5.0
    cpu: int | None = None


class WindowResult(msgspec.Struct, frozen=True):
    """``figures`` has those keys of FIGURES for which there was something to measure. ``load_cpu`` is the share of one
    CPU that the generator used, ``load_lag_ms`` how late it woke at p99: near 1, or late, it was the bottleneck."""

    figures: dict[str, float]
    requests: int
    events: int
    failed: dict[str, int]
    load_cpu: float
    load_lag_ms: float
