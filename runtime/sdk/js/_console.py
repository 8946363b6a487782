"""``console``."""

from __future__ import annotations

import sys
from time import perf_counter

_counts: dict[str, int] = {}
_timers: dict[str, float] = {}


class console:
    """Prints; ``warn`` and ``error`` to standard error."""

    @staticmethod
    def log(*values: object) -> None:
        print(*values)

    @staticmethod
    def error(*values: object) -> None:
        print(*values, file=sys.stderr)

    info = debug = dir = table = group = groupCollapsed = log
    warn = trace = error

    @staticmethod
    def assert_(condition: object = None, *values: object) -> None:
        if not condition:
            console.error("Assertion failed:", *values)

    @staticmethod
    def groupEnd() -> None: ...

    @staticmethod
    def count(label: str = "default") -> None:
        _counts[label] = _counts.get(label, 0) + 1
        print(f"{label}: {_counts[label]}")

    @staticmethod
    def countReset(label: str = "default") -> None:
        _counts.pop(label, None)

    @staticmethod
    def time(label: str = "default") -> None:
        _timers[label] = perf_counter()

    @staticmethod
    def timeLog(label: str = "default", *values: object) -> None:
        if label in _timers:
            print(f"{label}: {(perf_counter() - _timers[label]) * 1000:.3f}ms", *values)

    @staticmethod
    def timeEnd(label: str = "default") -> None:
        console.timeLog(label)
        _timers.pop(label, None)


__all__ = ["console"]
