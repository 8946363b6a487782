"""A line for each batch, as upstream prints it; where they come faster than anybody reads, one for many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_EVERY_S = 0.25


class Report:
    """``head``: how each line begins, ``QUEUE jobs``; ``each``: what many of them are called."""

    def __init__(self, head: str, note: Callable[[str], None], each: str = "batches") -> None:
        self._head, self._note, self._each = head, note, each
        self._timer: asyncio.TimerHandle | None = None
        self._well = self._all = self._batches = 0
        self._seconds = 0.0

    def batch(self, well: int, all_: int, seconds: float) -> None:
        """How many of how many went well, and how long that took."""
        self._well, self._all = self._well + well, self._all + all_
        self._batches, self._seconds = self._batches + 1, self._seconds + seconds
        if self._timer is None:
            self._print()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._print(last=True)

    def _print(self, last: bool = False) -> None:
        self._timer = None
        if not self._batches:
            return
        took = f"{self._seconds / self._batches * 1000:.0f}ms"
        how = took if self._batches == 1 else f"{self._batches} {self._each} of {took}"
        self._note(f"{self._head} {self._well}/{self._all} ({how})")
        self._well = self._all = self._batches = 0
        self._seconds = 0.0
        if not last:
            self._timer = asyncio.get_running_loop().call_later(_EVERY_S, self._print)


__all__ = ["Report"]
