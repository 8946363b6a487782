"""Whether all is there that a load was told is kept, and nothing is there twice.

Queues are at least once: a message may be handled again until its acknowledgment is on the disk. From then on it is in
the queue's file no more, and must never come again.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from typing import Any

from bench.faults.kept.load import Load
from bench.faults.machine import PATIENCE_S

STEPS = 8  # of one instance, as bench/workers/keeper.py has it
_AT_ONCE = 100


class Checks:
    """``wrong``: in words, by the kind of what is wrong."""

    def __init__(self, load: Load) -> None:
        self._load, self._state = load, load.machine.data / "state"
        self._done: dict[int, int] = {}  # a message that was acknowledged → how often it had come by then
        self.wrong: dict[str, list[str]] = {}

    def messages(self) -> None:
        """What has left the queue has been handled. The host may be dead meanwhile."""
        sent = set(self._load.sent)
        waiting = {json.loads(body) for (body,) in _rows(self._state / "queues/jobs/queue.sqlite", "message", "body")}
        handled = self._handled()
        for number in sent - waiting - self._done.keys():
            if not handled[number]:
                self._is_wrong("message lost", f"{number} was sent, and is neither handled nor waiting")
            self._done[number] = handled[number]
        for number, times in self._done.items():
            if handled[number] > times:
                self._is_wrong("message again", f"{number} was acknowledged, and came again")

    async def all(self) -> None:
        """At the end of a load."""
        await self._until_handled()
        self.messages()
        await self._objects()
        await self._written()
        await self._alarms()
        await self._instances()

    def count(self, kind: str) -> int:
        return len(self.wrong.get(kind, ()))

    async def _until_handled(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self._load.sent - self._handled().keys():
                await asyncio.sleep(0.2)

    def _handled(self) -> Counter[int]:
        return Counter(number for (number,) in _rows(self._state / "d1/kept/db.sqlite", "handled", "number"))

    async def _objects(self) -> None:
        for name, values in self._load.values.items():
            found = await self._load.surely("object", name, "found")
            twice = [value for value, times in Counter(values.values()).items() if times > 1]
            if twice:
                self._is_wrong("two instances", f"{name} has told {twice} twice")
            if found["value"] != len(found) - 1:
                self._is_wrong("two instances", f"{name} has counted {found['value']} of {len(found) - 1} writes")
            lost = [number for number, value in values.items() if found.get(f"n{number}") != value]
            for number in lost:
                self._is_wrong("write lost", f"{number} of {name}")

    async def _written(self) -> None:
        rows = {number for (number,) in _rows(self._state / "d1/kept/db.sqlite", "written", "number")}
        keys = sorted(self._load.keys)
        lost = [number for some in _in_parts(keys) for number in await self._load.surely("missing", some)]
        for number in (*(self._load.rows - rows), *lost):
            self._is_wrong("write lost", f"{number}, a row or a key")

    async def _alarms(self) -> None:
        for name in self._load.alarms:
            if not await self._within(lambda name=name: self._rang(name)):  # type: ignore[misc]
                self._is_wrong("alarm lost", f"{name} never rang")

    async def _rang(self, name: str) -> bool:
        return "rang" in await self._load.surely("object", name, "found")

    async def _instances(self) -> None:
        for id in self._load.instances:
            if not await self._within(lambda id=id: self._complete(id)):  # type: ignore[misc]
                self._is_wrong("step lost", f"instance {id}: {await self._load.surely('status', id)}")
        ran: dict[str, list[int]] = {}
        for id, step in _rows(self._state / "d1/kept/db.sqlite", "ran", "id, step"):
            ran.setdefault(id, []).append(step)
        for id in self._load.instances:
            steps = ran.get(id, [])
            if steps != sorted(steps) or set(steps) != set(range(1, STEPS + 1)):
                self._is_wrong("step lost", f"instance {id} ran {steps}")

    async def _complete(self, id: str) -> bool:
        status = await self._load.surely("status", id)
        return bool(status == ["complete", STEPS * (STEPS + 1) // 2])

    async def _within(self, look: Any) -> bool:
        for _ in range(int(PATIENCE_S / 0.2)):
            if await look():
                return True
            await asyncio.sleep(0.2)
        return False

    def _is_wrong(self, kind: str, what: str) -> None:
        self.wrong.setdefault(kind, []).append(f"{kind}: {what}")


def _rows(path: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    """In the order in which they were written."""
    with closing(connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as file:
        return file.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()


def _in_parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    return (numbers[at : at + _AT_ONCE] for at in range(0, len(numbers), _AT_ONCE))


__all__ = ["Checks"]
