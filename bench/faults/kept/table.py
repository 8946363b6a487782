"""What came of it, in tables: what is kept, which sockets were closed, what ended those that never end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import ClassVar


@dataclass
class KeptRow:
    """Of one kind of process that is killed. ``told``: what was acknowledged, by kind; ``healed``: seconds."""

    TITLE: ClassVar = "What workers keep"
    HEAD: ClassVar[tuple[str, ...]] = (
        "`kill -9` of", "times", "writes acknowledged", "writes lost", "two instances", "messages acknowledged",
        "messages lost", "come again after they were dealt with", "alarms acknowledged", "alarms lost",
        "workflows acknowledged", "lost, or a step run again", "orphans", "others' answers", "others' errors",
        "others' messages over sockets", "others' sockets closed", "healed after, median", "at worst",
    )  # fmt: skip
    fault: str
    times: int = 0
    told: Counter[str] = field(default_factory=Counter)
    orphans: int = 0
    healed: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.wrong and not self.orphans

    def cells(self) -> list[object]:
        names = (
            "writes", "write lost", "two instances", "messages", "message lost", "message again", "alarms",
            "alarm lost", "instances", "step lost", "orphans", "answers", "errors", "talk", "closed",
        )  # fmt: skip
        counts = Counter({**self.told, "orphans": self.orphans})
        healed = [f"{value:.2f} s" for value in (median(self.healed), max(self.healed))] if self.healed else ["", ""]
        return [self.fault, self.times, *(counts[name] for name in names), *healed]


@dataclass
class SocketsRow:
    """``answered``: messages that the new code has answered."""

    TITLE: ClassVar = "Open WebSockets"
    HEAD: ClassVar[tuple[str, ...]] = (
        "new code by",
        "times",
        "sockets open",
        "closed",
        "messages that the new code answered",
    )
    fault: str
    times: int
    sockets: int
    answered: int = 0
    closed: int = 0

    @property
    def wanted(self) -> int:
        """A socket in seven each time, and the last time all of them."""
        return (self.times - 1) * -(-self.sockets // 7) + self.sockets

    @property
    def wrong(self) -> list[str]:
        missing = self.wanted - self.answered
        said = {"closed": self.closed, "messages not answered by the new code": missing}
        return [f"{self.fault}: {count} {what}" for what, count in said.items() if count]

    @property
    def good(self) -> bool:
        return not self.wrong

    def cells(self) -> list[object]:
        return [self.fault, self.times, self.sockets, self.closed, self.answered]


@dataclass
class FenceRow:
    """``refused``: processes that ended since they may write no more; ``late``: rows of one after its successor's."""

    TITLE: ClassVar = "A process that was taken for dead and goes on"
    HEAD: ClassVar[tuple[str, ...]] = (
        "times",
        "its next write was refused",
        "rows",
        "written by it after its successor",
        "lost",
    )
    times: int = 0
    refused: int = 0
    lines: int = 0
    late: int = 0
    lost: int = 0

    @property
    def wrong(self) -> list[str]:
        said = {"were not refused": self.times - self.refused, "rows came late": self.late, "rows lost": self.lost}
        return [f"a stale process: {count} {what}" for what, count in said.items() if count]

    @property
    def good(self) -> bool:
        return not self.wrong

    def cells(self) -> list[object]:
        return [self.times, self.refused, self.lines, self.late, self.lost]


@dataclass
class EndedRow:
    """``told``: what whoever waited was told. ``took``: seconds."""

    TITLE: ClassVar = "What never ends by itself"
    HEAD: ClassVar[tuple[str, ...]] = (
        "what",
        "times",
        "ended by",
        "after, median",
        "at worst",
        "others' answers",
        "others' errors",
    )
    fault: str
    limit: str
    times: int = 0
    took: list[float] = field(default_factory=list)
    answers: int = 0
    errors: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.wrong and not self.errors

    def cells(self) -> list[object]:
        took = [f"{value:.2f} s" for value in (median(self.took), max(self.took))] if self.took else ["", ""]
        return [self.fault, self.times, self.limit, *took, self.answers, self.errors]


__all__ = ["EndedRow", "FenceRow", "KeptRow", "SocketsRow"]
