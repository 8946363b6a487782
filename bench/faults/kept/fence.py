"""A process that was taken for dead and goes on: it is stopped in mid-write, another opens the file, it goes on.

Every row says who wrote it. Once a successor has written, its predecessor writes no more, at whatever moment it was
stopped; and what either was told is kept is there.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from sqlite3 import connect

from bench.faults.kept.table import FenceRow

_LONGEST_S = 0.05  # seconds of writing until it is stopped
_START_S = 60.0  # seconds that a process may take to begin
# It says each number once that is on the disk, and ends when it may write no more.
_WRITER = """
import asyncio, sys
from pathlib import Path
from bindings.durable_objects.storage.failures import Stale
from bindings.durable_objects.storage.file import ObjectFile

async def write(path, owner):
    file = ObjectFile(Path(path), None, lambda error: None)
    file.write("CREATE TABLE IF NOT EXISTS line (at INTEGER PRIMARY KEY AUTOINCREMENT, owner INTEGER, number INTEGER)")
    number = 0
    while True:
        number += 1
        file.write("INSERT INTO line (owner, number) VALUES (?, ?)", (owner, number))
        await file.kept()
        print(number, flush=True)

try:
    asyncio.run(write(sys.argv[1], int(sys.argv[2])))
except Stale:
    print("stale", flush=True)
"""


class Writer:
    """``told``: the last number that it was told is kept."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self.told = process, 0
        self._first = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def begin(cls, path: Path, owner: int) -> Writer:
        words = sys.executable, "-c", _WRITER, str(path), str(owner)
        writer = cls(await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE))
        await asyncio.wait_for(writer._first.wait(), _START_S)
        return writer

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    async def ended(self) -> bool:
        """Whether it ended since it may write no more; it is killed if it does not end at all."""
        with suppress(TimeoutError):
            return await asyncio.wait_for(self._reading, _START_S)
        self._process.kill()
        return False

    async def kill(self) -> None:
        self._process.kill()
        await self._reading

    async def _read(self) -> bool:
        assert self._process.stdout is not None
        stale = False
        async for line in self._process.stdout:
            stale = line == b"stale\n"
            self.told = self.told if stale else int(line)
            self._first.set()
        await self._process.wait()
        return stale


async def fence(times: int, chance: random.Random) -> AsyncIterator[FenceRow]:
    row, told = FenceRow(), dict[int, int]()
    with tempfile.TemporaryDirectory(prefix="fence-") as folder:
        path = Path(folder, "object.sqlite")
        writer = await Writer.begin(path, 0)
        for owner in range(1, times + 1):
            await asyncio.sleep(chance.random() * _LONGEST_S)
            writer.signal(signal.SIGSTOP)
            try:
                successor = await _successor(path, owner, writer)
            finally:
                writer.signal(signal.SIGCONT)
            row.refused += await writer.ended()
            told[owner - 1], writer = writer.told, successor
            row.times += 1
        await writer.kill()
        told[times] = writer.told
        _look(row, path, told)
    yield row


async def _successor(path: Path, owner: int, stopped: Writer) -> Writer:
    """One that was stopped with the file's write lock lets nobody in: it goes on for a moment."""
    beginning = asyncio.create_task(Writer.begin(path, owner))
    while not (await asyncio.wait([beginning], timeout=1.0))[0]:
        stopped.signal(signal.SIGCONT)
        await asyncio.sleep(0.001)
        stopped.signal(signal.SIGSTOP)
    return beginning.result()


def _look(row: FenceRow, path: Path, told: dict[int, int]) -> None:
    with closing(connect(path)) as file:
        lines = file.execute("SELECT owner, number FROM line ORDER BY at").fetchall()
    row.lines = len(lines)
    row.late = sum(before > after for (before, _), (after, _) in pairwise(lines))
    kept = set(lines)
    row.lost = sum((owner, number) not in kept for owner, last in told.items() for number in range(1, last + 1))


__all__ = ["fence"]
