"""Lines that a worker has printed, until what they were printed for is told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextvars import ContextVar

from bindings.messages import TraceItem
from runtime.isolate.boot import LINE_MARKS

MAX_LINES = 256  # of one event
_MAX_WAITING = 4_096  # of one worker
_MAX_DIGITS = 20


class Claim:
    """What processes are asked for in the course of one event, by number: what they print for it is the event's."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = set(numbers)
        self.over = False  # a process that began meanwhile goes on in this context


claim: ContextVar[Claim | None] = ContextVar("claim", default=None)


def claimed(number: int) -> None:
    """A process is asked for this."""
    if (mine := claim.get()) is not None and not mine.over:
        mine.numbers.add(number)


class Lines:
    """One worker's. Number 0: of whatever ends next."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, TraceItem]] = []
        self._counts: Counter[int] = Counter()
        self._left: set[int] = set()  # those of which a line found no place

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, number: int, line: TraceItem) -> None:
        if self._counts[number] >= MAX_LINES or len(self._waiting) >= _MAX_WAITING:
            self._left.add(number)
        else:
            self._waiting.append((number, line))
            self._counts[number] += 1

    def take(self, numbers: Collection[int]) -> tuple[list[TraceItem], bool]:
        """Those of these numbers and of none, in their order; whether some are missing."""
        taken = [line for number, line in self._waiting if not number or number in numbers]
        left = bool(self._left & {0, *numbers})
        self._keep({number for number in self._counts if number and number not in numbers})
        return taken[:MAX_LINES], left or len(taken) > MAX_LINES

    def unclaimed(self, running: Collection[int]) -> tuple[list[TraceItem], bool]:
        """The same of everything but what still goes on."""
        return self.take(self._counts.keys() - running)

    def _keep(self, numbers: set[int]) -> None:
        self._waiting = [(number, line) for number, line in self._waiting if number in numbers]
        self._counts = Counter({number: self._counts[number] for number in numbers})
        self._left &= numbers


def parted(line: str) -> tuple[int, str]:
    """(the number it was printed for, or 0; the line as it was printed)."""
    if not line.startswith(LINE_MARKS[0]):
        return 0, line
    number, after, text = line[1:].partition(LINE_MARKS[1])
    known = after and number.isdecimal() and len(number) <= _MAX_DIGITS
    return (int(number), text) if known else (0, line)


__all__ = ["MAX_LINES", "Claim", "Lines", "claim", "claimed", "parted"]
