"""What a person, or a log collector, sees of the supervisor."""

from __future__ import annotations

from typing import Literal

from runtime.supervisor.observe.base import LEVELS, Level, Observer

__all__ = ["LEVELS", "Level", "LogFormat", "Observer", "make_observer"]

LogFormat = Literal["pretty", "json"]


def make_observer(log_format: LogFormat | None, level: str = "info") -> Observer:
    """``json`` for machines; otherwise text, which is plain where stdout is not a terminal."""
    if log_format == "json":
        from runtime.supervisor.observe.jsonlines import JsonObserver

        return JsonObserver(level)
    from runtime.supervisor.observe.terminal import TerminalObserver

    return TerminalObserver(level)
