"""A database that is open: its connections, and the threads that they are used in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bindings.d1.sql import errors, limits
from bindings.d1.sql.connection import Connection
from bindings.d1.writer import Writer

T = TypeVar("T")


class Threads:
    """``path`` and its folder are made when they are first needed. ``last_row_id``: what was inserted last, before."""

    def __init__(self, path: Path, last_row_id: int) -> None:
        self._path, self._last_row_id = path, last_row_id
        self.writer = Writer(self._writes)
        self._connections: list[Connection] = []  # the first is the one that writes
        self._readers: list[Connection] = []  # of the others, whom nobody uses now
        self._quick: Connection | None = None  # the loop's, once a thread has opened it
        self._reading = ThreadPoolExecutor(limits.READERS, thread_name_prefix="d1 reads")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work`` on a connection that only reads, after the writes asked for before."""
        if self.writer.last is None:
            await self.writer.do(lambda writer: None, alone=True)  # makes the file
        elif not self.writer.last.done():
            await asyncio.wait([self.writer.last])
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._with_reader, work)

    def ready(self) -> Connection | None:
        """The loop's own connection, where nothing has to be waited for: it sees all that was asked for before."""
        last = self.writer.last
        return self._quick if last is not None and last.done() else None

    def look_at_clock(self) -> None:
        for connection in self._connections:
            connection.look_at_clock()

    def close(self) -> None:
        """In a thread: wait for what is being done, and close the file."""
        self.writer.shut()
        self._reading.shutdown(wait=True)
        while self._connections:  # the one that writes last: it folds the log into the file
            self._connections.pop().close()

    # In a thread

    def _writes(self) -> Connection:
        """Raises D1Error."""
        if not self._connections:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._connections.append(Connection(self._path))
                self._path.chmod(0o600)
            except OSError as error:
                raise errors.D1Error(f"unable to open the database file: {error.strerror}") from None
            self._connections[0].sqlite.set_last_insert_rowid(self._last_row_id)
        return self._connections[0]

    def _with_reader(self, work: Callable[[Connection], T]) -> T:
        if not self._readers:
            reader = Connection(self._path, reads_only=True)
            self._connections.append(reader)
        else:
            reader = self._readers.pop()
        try:
            if self._quick is None:
                self._quick = Connection(self._path, quick=True)
                self._connections.append(self._quick)
            return work(reader)
        finally:
            reader.rollback()
            self._readers.append(reader)


__all__ = ["Threads"]
