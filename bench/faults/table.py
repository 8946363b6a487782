"""What came of it: one row per fault, one table per kind of row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import median
from typing import ClassVar, Protocol

from bench.faults.changes import Changing
from bench.faults.load import Client


class Outcome(Protocol):
    """A row. ``wrong``: what must not be, in words."""

    TITLE: ClassVar[str]
    HEAD: ClassVar[tuple[str, ...]]

    @property
    def wrong(self) -> Sequence[str]: ...

    @property
    def good(self) -> bool: ...

    def cells(self) -> Sequence[object]: ...


@dataclass
class Row:
    """Of one kind of fault. ``healed``: seconds, one per fault."""

    TITLE: ClassVar = "Changes of workers"
    HEAD: ClassVar[tuple[str, ...]] = (
        "fault", "times", "changes acknowledged", "refused", "cut", "acknowledged and lost", "orphans",
        "others' answers", "others' errors", "healed after, median", "at worst",
    )  # fmt: skip
    fault: str
    times: int = 0
    orphans: int = 0
    healed: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # of the changes
    answers: int = 0
    wrong: list[str] = field(default_factory=list)
    workers: list[Changing] = field(default_factory=list)  # that are changed meanwhile

    def add(self, workers: Iterable[Changing], clients: Iterable[Client]) -> None:
        """What these have come to since they began."""
        for worker in workers:
            self.counts += worker.counts
            self.wrong += [f"lost: {text}" for text in worker.lost]
        for client in clients:
            self.answers += client.answered
            self.counts["errors"] += len(client.errors)
            self.wrong += client.errors

    @property
    def good(self) -> bool:
        return not (self.counts["lost"] or self.counts["blamed"] or self.counts["errors"] or self.orphans)

    def cells(self) -> list[object]:
        counts = self.counts
        healed = [f"{value:.2f} s" for value in (median(self.healed), max(self.healed))] if self.healed else ["", ""]
        changes = [counts["acknowledged"], counts["refused"], counts["unanswered"], counts["lost"]]
        return [self.fault, self.times, *changes, self.orphans, self.answers, counts["errors"], *healed]


def markdown(rows: Sequence[Outcome]) -> str:
    """A table for each run of rows of one kind, under its title."""
    return "\n".join(_table(kind, list(some)) for kind, some in groupby(rows, type))


def _table(kind: type[Outcome], rows: Sequence[Outcome]) -> str:
    numbers = [isinstance(cell, int) or not cell or str(cell).endswith(" s") for cell in rows[0].cells()]
    lines = [kind.HEAD, ["---:" if number else "---" for number in numbers], *(_told(row.cells()) for row in rows)]
    return f"## {kind.TITLE}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _told(cells: Sequence[object]) -> list[str]:
    return [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells]


__all__ = ["Outcome", "Row", "markdown"]
