"""What came of it: one row per fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.faults.changes import Changing
from bench.faults.load import Client

_HEAD = (
    "fault", "times", "changes acknowledged", "refused", "cut", "acknowledged and lost", "orphans",
    "others' answers", "others' errors", "healed after, median", "at worst",
)  # fmt: skip


@dataclass
class Row:
    """Of one kind of fault. ``healed``: seconds, one per fault."""

    fault: str
    times: int = 0
    orphans: int = 0
    healed: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # of the changes
    answers: int = 0
    wrong: list[str] = field(default_factory=list)  # what must not be, in words
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

    def cells(self) -> list[str]:
        counts = self.counts
        healed = [f"{value:.2f} s" for value in (median(self.healed), max(self.healed))] if self.healed else ["", ""]
        changes = [counts["acknowledged"], counts["refused"], counts["unanswered"], counts["lost"]]
        numbers = [self.times, *changes, self.orphans, self.answers, counts["errors"]]
        return [self.fault, *(f"{number:,}" for number in numbers), *healed]


def markdown(rows: Sequence[Row]) -> str:
    lines = [_HEAD, ("---", *["---:"] * (len(_HEAD) - 1)), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


__all__ = ["Row", "markdown"]
