"""Timers and event listeners by their names in Pyodide."""

from __future__ import annotations

from typing import Any

from runtime.isolate.timers import clearInterval as clear_interval
from runtime.isolate.timers import clearTimeout as clear_timeout
from runtime.isolate.timers import setInterval as set_interval
from runtime.isolate.timers import setTimeout as set_timeout


def add_event_listener(target: Any, event: str, listener: Any) -> None:
    target.addEventListener(event, listener)


def remove_event_listener(target: Any, event: str, listener: Any) -> None:
    target.removeEventListener(event, listener)


__all__ = [
    "add_event_listener", "clear_interval", "clear_timeout", "remove_event_listener", "set_interval", "set_timeout",
]  # fmt: skip
