"""What belongs to the event being served: ``env`` and ``ctx``, for code that was not handed them, and the path under
which the worker is served, ``/_w/NAME`` or nothing.

The isolate sets them before it calls a handler. They are context variables, so every event served at the
same time sees its own, and so do the tasks it starts.
"""

from __future__ import annotations

from contextvars import ContextVar
from pkgutil import resolve_name
from typing import Any

current_env: ContextVar[Any] = ContextVar("current_env")
current_ctx: ContextVar[Any] = ContextVar("current_ctx")
current_root: ContextVar[str] = ContextVar("current_root", default="")


def as_javascript(value: object) -> object:
    """What ``value.js_object`` is: the same object as the module ``js`` of a worker's process has it."""
    return resolve_name("js._views:view")(value)
