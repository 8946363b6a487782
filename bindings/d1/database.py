"""One database: a connection that writes, in a thread of its own, and a few that only read, in theirs.

Theory of operation. A call is a list of statements in one transaction. Calls that write are done one after another, in
the order in which they were asked for, and are on disk when they are acknowledged. A call that looks as if it only
reads goes to a connection which can do nothing else, once what was asked for before it is done: so it sees that, and a
slow query holds up neither writes nor (all) other reads. Looks deceive; then that connection refuses before anything
is done, and the call goes where the others go. No call runs for longer than ``query_s``.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bindings.d1.sql import errors, limits
from bindings.d1.sql.connection import Connection, NeedsWriter, Outcome
from bindings.d1.writer import Writer

T = TypeVar("T")
FILE = "db.sqlite"
WATCH_S = 0.25  # between two looks at the clock
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
        self.query_s = limits.QUERY_S
        self._writer = Writer(self._opened)
        self._connections: list[Connection] = []  # the first is the one that writes
        self._readers: list[Connection] = []  # of those, whom nobody uses now
        self._reading: ThreadPoolExecutor | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._waiting = 0  # calls
        self._closed = False
        self._last_row_id = self._commits = 0

    async def call(self, queries: Sequence[Query]) -> Answer:
        """All of ``queries`` in one transaction. Raises D1Error: then none of them has done anything."""
        if all(_READING.match(query.sql) for query in queries):
            try:
                return await self.read(lambda reader: self._look(reader, queries))
            except NeedsWriter:
                pass
        outcomes, size = await self.write(lambda writer: (self._run(writer, queries), writer.size()))
        self.written(outcomes[-1].last_row_id)
        return Answer(outcomes, size, self.bookmark())

    async def write(self, work: Callable[[Connection], T], *, alone: bool = False) -> T:
        """The result of ``work``, in a transaction unless ``alone``. It is done even if the caller is cancelled."""
        with self._waits():
            return await asyncio.shield(self._writer.do(work, alone=alone))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work`` on a connection that only reads: in a thread, after the writes asked for before."""
        with self._waits():
            if self._writer.last is None:
                await self._writer.do(lambda writer: None, alone=True)  # makes the file
            elif not self._writer.last.done():
                await asyncio.wait([self._writer.last])
            if self._reading is None:
                self._reading = ThreadPoolExecutor(limits.READERS, thread_name_prefix="d1 reads")
            return await asyncio.get_running_loop().run_in_executor(self._reading, self._with_reader, work)

    async def aclose(self) -> None:
        """Finish what is being done, and close the file."""
        self._closed = True
        await asyncio.to_thread(self._close)

    def written(self, last_row_id: int) -> None:
        """A transaction is kept."""
        self._commits += 1
        self._last_row_id = last_row_id

    def bookmark(self) -> str:
        """Of the writes this process has done: it sorts after those of before."""
        return f"00000000-{self._commits:08x}-00000000-{self.mark}"

    @contextmanager
    def _waits(self) -> Iterator[None]:
        """While a call waits for its answer, somebody looks at the clock."""
        if self._closed:
            raise errors.D1Error(errors.CLOSED)
        if self._waiting >= limits.QUEUED_CALLS:
            raise errors.D1Error(errors.OVERLOADED)
        self._waiting += 1
        if self._watch is None:
            self._look_at_clock()
        try:
            yield
        finally:
            self._waiting -= 1

    def _look_at_clock(self) -> None:
        for connection in self._connections:
            connection.look_at_clock()
        loop = asyncio.get_running_loop()
        self._watch = loop.call_later(WATCH_S, self._look_at_clock) if self._waiting else None

    # In a thread

    def _look(self, reader: Connection, queries: Sequence[Query]) -> Answer:
        if len(queries) > 1:
            reader.begin("DEFERRED")  # all of them see the same
        last = self._last_row_id
        outcomes = [outcome._replace(last_row_id=last) for outcome in self._run(reader, queries)]
        return Answer(outcomes, reader.size(), self.bookmark())

    def _run(self, connection: Connection, queries: Sequence[Query]) -> list[Outcome]:
        connection.allow(self.query_s)
        outcomes: list[Outcome] = []
        for query in queries:
            outcomes += connection.run(query.sql, query.values)[-1:]
        if not outcomes:
            raise errors.D1Error(errors.NO_STATEMENTS)
        return outcomes

    def _opened(self) -> Connection:
        """The connection that writes."""
        if not self._connections:
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._connections.append(Connection(self.path))
                self.path.chmod(0o600)
            except OSError as error:
                raise errors.D1Error(f"unable to open the database file: {error.strerror}") from None
        return self._connections[0]

    def _with_reader(self, work: Callable[[Connection], T]) -> T:
        if not self._readers:
            reader = Connection(self.path, reads_only=True)
            self._connections.append(reader)
        else:
            reader = self._readers.pop()
        try:
            return work(reader)
        finally:
            reader.rollback()
            self._readers.append(reader)

    def _close(self) -> None:
        self._writer.shut()
        if self._reading is not None:
            self._reading.shutdown(wait=True)
        while self._connections:  # the one that writes last: it folds the log into the file
            self._connections.pop().close()


__all__ = ["Answer", "Database", "Query"]
