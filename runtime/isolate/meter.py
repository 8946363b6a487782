"""CPU time of one request: its handler's steps, added up. What it does in tasks and threads of its own is not in it."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Generator
from typing import Any


class CpuExceeded(Exception):
    """The request has used up its CPU time."""


class Metered:
    """Awaits ``work``, and ends it with ``CpuExceeded`` at its first pause beyond ``limit`` milliseconds."""

    def __init__(self, work: Coroutine[Any, Any, Any], limit: int) -> None:
        self._work, self._left = work, limit * 1_000_000

    def __await__(self) -> Generator[Any, Any, Any]:
        step, value = self._work.send, None
        while True:
            began = time.thread_time_ns()
            try:
                waits_for = step(value)
            except StopIteration as done:
                return done.value
            self._left -= time.thread_time_ns() - began
            if self._left < 0:
                self._work.close()
                raise CpuExceeded
            try:
                step, value = self._work.send, (yield waits_for)
            except BaseException as error:
                step, value = self._work.throw, error


__all__ = ["CpuExceeded", "Metered"]
