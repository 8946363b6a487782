"""What holds up whatever an event sends to the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

before_sending: ContextVar[Callable[[], Awaitable[None] | None] | None] = ContextVar("before_sending", default=None)
"""Of an event that has kept something: what it sends to the outside waits until that is on the disk."""


def unkept() -> Awaitable[None] | None:
    """What something that leaves is to wait for, if anything: what it may rest on is on the disk then."""
    return None if (gate := before_sending.get()) is None else gate()


async def until_kept() -> None:
    """Before something leaves: what it may rest on is on the disk."""
    if (waits := unkept()) is not None:
        await waits


__all__ = ["before_sending", "unkept", "until_kept"]
