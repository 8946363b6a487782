"""Settings that are read once: a saved change of theirs cannot be applied to a server that runs."""

from __future__ import annotations

from collections.abc import Callable, Collection

from bindings import products
from runtime.config import Config

_CLIENT_SETTINGS = ("pilot.head_timeout", "pilot.body_timeout", "pilot.body_rate", "pilot.answer_timeout")
_SUPERVISOR_SETTINGS = ("dev.ip", "dev.port", "pilot.otlp", *_CLIENT_SETTINGS)


def at_start() -> list[str]:
    """Their names. All others apply as soon as they are saved."""
    return [*_SUPERVISOR_SETTINGS, *(f"pilot.{name}" for product in products() for name in product.at_start)]


class Restart:
    """Says of each such change, once, that it waits for a restart. ``overridden``: settings that a flag decides."""

    def __init__(self, started: Config, overridden: Collection[str], warn: Callable[[str], None]) -> None:
        self._started, self._warn = started, warn
        self._names = [name for name in at_start() if name not in overridden]
        self._reported: set[str] = set()

    def look(self, now: Config) -> None:
        waiting = {name for name in self._names if _value(now, name) != _value(self._started, name)}
        for name in sorted(waiting - self._reported):
            self._warn(f"{now.at(*name.split('.'))}: changed, and counts once pilot dev is restarted")
        self._reported = waiting


def _value(config: Config, name: str) -> object:
    table, _, key = name.partition(".")
    places = [config.dev] if table == "dev" else config.extras.values()
    return next((getattr(place, key) for place in places if hasattr(place, key)), None)


__all__ = ["Restart", "at_start"]
