"""What holds up whatever an event sends to the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

before_sending: ContextVar[Callable[[], Awaitable[None] | None] | None] = ContextVar("before_sending", default=None)
"""Of an event that has kept something: what it sends to the outside waits until that is on the disk."""


async def until_kept() -> None:
    """Before something leaves: what it may rest on is on the disk."""
    if (gate := before_sending.get()) is not None and (waits := gate()) is not None:
        await waits


__all__ = ["before_sending", "until_kept"]
