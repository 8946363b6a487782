"""One database: a connection that writes, in a thread of its own, and a few that only read, in theirs.

Theory of operation. A call is a list of statements in one transaction. Calls that write are done one after another, in
the order in which they were asked for, and are on disk when they are acknowledged. A call that looks as if it only
reads goes to a connection which can do nothing else, once what was asked for before it is done: so it sees that, and a
slow query holds up neither writes nor (all) other reads. A plain one is tried without a thread first: the loop has a
connection of its own for it, and a millisecond. Looks deceive; then a connection refuses before anything is done, and
the call goes where the others go. No call runs for longer than ``query_s``.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bindings.d1.sql import errors, limits
from bindings.d1.sql.connection import Connection, NeedsWriter, Outcome
from bindings.d1.threads import Threads

T = TypeVar("T")
FILE = "db.sqlite"
WATCH_S = 0.25  # between two looks at the clock
IDLE_S = 60.0  # without a call, until the file is closed
_KNOWN = 512  # of those that take longer than the loop has for one
_SELECTING = re.compile(rf"\s*select\b.{{0,{limits.QUICK_SQL_CHARS}}}\Z", re.IGNORECASE | re.DOTALL)
_READING = re.compile(r"\s*(?:select|with|values|explain|pragma)\b", re.IGNORECASE)


class Query(NamedTuple):
    sql: str
    values: Sequence[Any] = ()  # of type Value


class Answer(NamedTuple):
    """What a call came to. ``outcomes``: of each query its last statement's; none of one without any."""

    outcomes: list[Outcome]
    size: int  # bytes of the database
    bookmark: str


class Database:
    """``folder`` is the database's own; its file is made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / FILE
        self.mark = hashlib.md5(folder.name.encode(), usedforsecurity=False).hexdigest()  # in its bookmarks
        self.query_s, self.idle_s = limits.QUERY_S, IDLE_S
        self._threads: Threads | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Future[None]] = set()  # threads of before
        self._waiting = 0  # calls
        self._closed = False
        self._long: set[str] = set()  # reads that are for a thread
        self._last_row_id = self._commits = 0

    async def call(self, queries: Sequence[Query]) -> Answer:
        """All of ``queries`` in one transaction. Raises D1Error: then none of them has done anything."""
        if (answer := self._look_at_once(queries)) is not None:
            return answer
        if all(_READING.match(query.sql) for query in queries):
            try:
                return await self.read(lambda reader: self._look(reader, queries))
            except NeedsWriter:
                pass
        outcomes, size = await self.write(lambda writer: (self._run(writer, queries), writer.size()))
        self.written(outcomes[-1].last_row_id)
        return Answer(outcomes, size, self.bookmark())

    def _look_at_once(self, queries: Sequence[Query]) -> Answer | None:
        """What one quick read comes to, here and now. None: a thread's it is, and a refusal or a failure is too."""
        reader = self._threads.ready() if self._threads is not None and len(queries) == 1 else None
        if reader is None or (sql := queries[0].sql) in self._long or not _SELECTING.match(sql):
            return None
        try:
            return self._look(reader, queries, limits.QUICK_S)
        except (errors.D1Error, NeedsWriter):
            if len(self._long) >= _KNOWN:
                self._long.clear()
            self._long.add(sql)
        return None

    async def write(self, work: Callable[[Connection], T], *, alone: bool = False) -> T:
        """The result of ``work``, in a transaction unless ``alone``. It is done even if the caller is cancelled."""
        with self._waits() as threads:
            return await asyncio.shield(threads.writer.do(work, alone=alone))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work`` on a connection that only reads: in a thread, after the writes asked for before."""
        with self._waits() as threads:
            return await threads.read(work)

    async def aclose(self) -> None:
        """Finish what is being done, and close the file."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        self._rest()
        await asyncio.gather(*self._closing)

    def written(self, last_row_id: int) -> None:
        """A transaction is kept."""
        self._commits += 1
        self._last_row_id = last_row_id

    def bookmark(self) -> str:
        """Of the writes this process has done: it sorts after those of before."""
        return f"00000000-{self._commits:08x}-00000000-{self.mark}"

    @contextmanager
    def _waits(self) -> Iterator[Threads]:
        """While a call waits for its answer, somebody looks at the clock."""
        if self._closed:
            raise errors.D1Error(errors.CLOSED)
        if self._waiting >= limits.QUEUED_CALLS:
            raise errors.D1Error(errors.OVERLOADED)
        self._threads = self._threads or Threads(self.path, self._last_row_id)
        if not self._waiting:
            self._look_again(WATCH_S, self._look_at_clock)
        self._waiting += 1
        try:
            yield self._threads
        finally:
            self._waiting -= 1

    def _look_at_clock(self) -> None:
        if self._threads is not None:
            self._threads.look_at_clock()
        if self._waiting:
            self._look_again(WATCH_S, self._look_at_clock)
        else:
            self._look_again(self.idle_s, self._rest)

    def _look_again(self, seconds: float, look: Callable[[], None]) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(seconds, look)

    def _rest(self) -> None:
        """Nobody has asked for a while: no threads, no open files. The next call opens them again, also meanwhile."""
        if self._threads is not None and (self._closed or not self._threads.writer.busy):
            closing = asyncio.get_running_loop().run_in_executor(None, self._threads.close)
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._threads = None

    # In a thread

    def _look(self, reader: Connection, queries: Sequence[Query], within: float | None = None) -> Answer:
        if len(queries) > 1:
            reader.begin("DEFERRED")  # all of them see the same
        last = self._last_row_id
        outcomes = [outcome._replace(last_row_id=last) for outcome in self._run(reader, queries, within)]
        return Answer(outcomes, reader.size(), self.bookmark())

    def _run(self, connection: Connection, queries: Sequence[Query], within: float | None = None) -> list[Outcome]:
        connection.allow(within or self.query_s)
        outcomes: list[Outcome] = []
        for query in queries:
            outcomes += connection.run(query.sql, query.values)[-1:]
        if not outcomes:
            raise errors.D1Error(errors.NO_STATEMENTS)
        return outcomes


__all__ = ["Answer", "Database", "Query"]
