"""The clock of all alarms: when which object is to be woken. What is due is in the object's own file; this is an index
of it, which may be too early and never too late (``storage.file`` says how).

A handler that raises, or takes its process along, is called again after 2, 4, 8 ... seconds, six times at most.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bindings.base import ProductContext
from bindings.sqlite import Database
from bindings.storage import clock as calendar
from runtime.errors import PilotError, UserError
from runtime.supervisor.calls.traced import of_object
from runtime.supervisor.limits import IsolateLost, LimitExceeded
from runtime.supervisor.observe.report import Report
from runtime.supervisor.processes.residence import CODE_UPDATED
from runtime.supervisor.traces.traces import raised
from runtime.wire import RemoteError

RETRIES = 6
RETRY_S = 2.0  # the first time; then twice as long
MOST_AT_ONCE = 256
LATER_S = 5.0  # where the worker does not run, or does not load
STEPS = (
    """
    CREATE TABLE alarms (
        worker TEXT, class TEXT, id TEXT, label TEXT, due INTEGER NOT NULL, retries INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (worker, class, id)
    ) WITHOUT ROWID;
    CREATE INDEX alarms_by_due ON alarms (due);
    """,
)
_WHERE = "worker = ? AND class = ? AND id = ?"


class Key(NamedTuple):
    worker: str
    cls: str
    id: str


class Due(NamedTuple):
    """A row. ``due``: in ms since 1970."""

    worker: str
    cls: str
    id: str
    label: str | None
    due: int
    retries: int

    @property
    def key(self) -> Key:
        return Key(self.worker, self.cls, self.id)


class Clock:
    def __init__(self, path: Path, context: ProductContext) -> None:
        self._database = Database(path, STEPS, durable=True)
        self._context, self._warn = context, context.observer.warn
        self._reports: dict[str, Report] = {}  # class → its line in the terminal
        self._changed = asyncio.Event()
        self._ringing: dict[Key, asyncio.Task[None]] = {}
        self._later: dict[Key, float] = {}  # not before then
        self._task: asyncio.Task[None] | None = None
        calendar.watch(self)

    async def clock_moved(self) -> None:
        """Once those that were due have rung."""
        if self._task is not None:
            await self._look()
            await asyncio.gather(*self._ringing.values())
            self._changed.set()

    def begin(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def ring(self, key: Key, label: str | None, due: int | None) -> None:
        """From now on at ``due``, or no more. Done once that is on the disk. Raises StoreError."""

        def kept(connection: sqlite3.Connection) -> None:
            if due is None:
                connection.execute(f"DELETE FROM alarms WHERE {_WHERE}", key)
            else:
                row = (*key, label, due, 0)
                connection.execute("INSERT OR REPLACE INTO alarms VALUES (?, ?, ?, ?, ?, ?)", row)

        await self._database.do(kept)
        self.begin()
        self._changed.set()

    async def change(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Of what a class is called, or whether there is one. Raises StoreError."""
        await self._database.do(work)
        self._changed.set()

    async def aclose(self) -> None:
        tasks = [*self._ringing.values(), *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for report in self._reports.values():
            report.close()
        await self._database.aclose()

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                pause = await self._look()
            except PilotError as error:
                self._warn(f"alarms: {error}")
                pause = LATER_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    async def _look(self) -> float | None:
        """Wake whoever is due. Seconds until the next is; None: there is none."""
        ignored = len(self._ringing) + len(self._later)
        sql = "SELECT worker, class, id, label, due, retries FROM alarms ORDER BY due LIMIT ?"
        rows = await self._database.read(lambda it: it.execute(sql, (ignored + MOST_AT_ONCE + 1,)).fetchall())
        now, clock = calendar.now() * 1000, time.monotonic()
        self._later = {key: until for key, until in self._later.items() if until > clock}
        pauses = [until - clock for until in self._later.values()]
        for row in map(Due._make, rows):
            if row.key in self._ringing or row.key in self._later:
                continue
            if row.due > now:
                pauses.append((row.due - now) / 1000)
                break
            if len(self._ringing) >= MOST_AT_ONCE:
                break  # one that ends looks again
            self._ringing[row.key] = asyncio.create_task(self._ring(row))
        return max(0.0, min(pauses)) if pauses else None

    async def _ring(self, row: Due) -> None:
        try:
            await self._settle(row, *await self._woken(row))
        except UserError:
            self._later[row.key] = time.monotonic() + LATER_S
        except PilotError as error:
            self._warn(f"alarms: {error}")
            self._later[row.key] = time.monotonic() + LATER_S
        finally:
            self._ringing.pop(row.key, None)
            self._changed.set()

    async def _woken(self, row: Due) -> tuple[str, int | None]:
        """What became of it, and when it is due next, as the object says. Raises UserError: there is no such worker."""
        about: dict[str, object] = {"scheduledTime": datetime.fromtimestamp(row.due / 1000, UTC).isoformat()}
        facts = of_object(row.cls, row.id)
        try:
            answer = await self._context.trace(row.worker, about, self._rung(row, about, facts), facts)
        except IsolateLost as error:
            if error.what == CODE_UPDATED:
                raise  # it is no failure of the handler's
            return "failed", row.due
        except (RemoteError, LimitExceeded):
            return "failed", row.due
        match answer:
            case ["ran" | "failed" | "none" as outcome, None | int() as due]:
                return outcome, due
        return "failed", row.due

    async def _rung(self, row: Due, about: dict[str, object], facts: dict[str, Any]) -> object:
        """What the object's process answers, which may be anything."""
        began, last = time.monotonic(), row.retries >= RETRIES
        args = [row.cls, row.id, row.label, row.retries, last, calendar.now_ms()]
        answer = await self._context.reside(row.worker, "alarm", args)
        match answer:
            case ["none", *_]:
                about.clear()  # it was not due: there was no event
                return answer
            case ["failed", due, str(what)]:
                facts.update(raised(what))
                answer = ["failed", due]
        report = self._reports.setdefault(row.cls, Report(f"ALARM {row.cls}", self._context.observer.note, "alarms"))
        report.batch("outcome" not in facts, 1, time.monotonic() - began)
        return answer

    async def _settle(self, row: Due, outcome: str, due: int | None) -> None:
        """Unless it was set anew meanwhile."""
        retries = 0
        if outcome == "failed" and due is not None:
            due, retries = round(calendar.now() * 1000 + RETRY_S * 2**row.retries * 1000), row.retries + 1
            if retries > RETRIES:
                due = None
        sql = f"UPDATE alarms SET due = ?, retries = ? WHERE {_WHERE} AND due = ?"
        values: tuple[object, ...] = due, retries, *row.key, row.due
        if due is None:
            sql, values = f"DELETE FROM alarms WHERE {_WHERE} AND due = ?", (*row.key, row.due)
        await self._database.do(lambda connection: connection.execute(sql, values))


__all__ = ["RETRIES", "RETRY_S", "Clock", "Key"]
