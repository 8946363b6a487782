"""What belongs to the event being served: ``env`` and ``ctx``, for code that was not handed them.

The isolate sets both before it calls a handler. They are context variables, so every event served at the
same time sees its own, and so do the tasks it starts.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

current_env: ContextVar[Any] = ContextVar("current_env")
current_ctx: ContextVar[Any] = ContextVar("current_ctx")
