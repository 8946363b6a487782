"""``storage.sql`` and ``storage.kv``: synchronous, in the object's own file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

import apsw

from bindings.client import options_of
from bindings.durable_objects.storage import entries
from bindings.durable_objects.storage.file import ObjectFile
from bindings.durable_objects.storage.values import bound, column
from bindings.storage.sql.counting import Counter
from bindings.storage.sql.errors import ONLY_THE_LAST, TOO_LONG, explained
from bindings.storage.sql.limits import SQL_BYTES
from runtime.values import JsArray, JsDict, JsException, js_string, to_wire

NO_STATEMENT = "SQL code did not contain a statement."
NO_RESULTS = "Expected exactly one result from SQL query, but got no results."
MULTIPLE_RESULTS = "Expected exactly one result from SQL query, but got multiple results."
_AT_ONCE = 256  # rows that are read when a statement is run; a longer result is read on as it is asked for


class SqlStorage:
    """https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/"""

    def __init__(self, file: ObjectFile) -> None:
        self._file, self._counter = file, None  # type: ObjectFile, Counter | None

    def exec(self, query: object, *values: object) -> SqlStorageCursor:
        """Run it now. Raises JsException with SQLite's text, TypeError for what cannot be bound."""
        sql = query if isinstance(query, str) else js_string(to_wire(query))
        if len(sql) > SQL_BYTES:
            raise JsException(TOO_LONG)
        sqlite = self._file.sqlite
        self._counter = self._counter or Counter(sqlite, self._file.guard)
        return SqlStorageCursor(self._file, self._counter, sql, [bound(value) for value in values])

    @property
    def databaseSize(self) -> int:
        """Bytes."""
        [[pages]] = self._file.run("PRAGMA page_count")
        return int(pages) * self._file.page_bytes


class SqlStorageCursor:
    """The rows of the last statement: each is had once. Only the last may have parameters."""

    def __init__(self, file: ObjectFile, counter: Counter, sql: str, values: list[Any]) -> None:
        self._file, self._counter = file, counter
        self._alone = ";" not in sql.rstrip("; \t\r\n")
        self.columnNames: list[str] = []
        self.rowsWritten = self._all_read = self._given = 0
        self._ran = self._bound = self._over = False
        self._first: list[tuple[Any, ...]] = []
        self._rows = self._run(sql, values)

    @property
    def rowsRead(self) -> int:
        """So far: none before the first row was asked for."""
        return self._all_read if self._over else self._given

    def next(self) -> JsDict:
        """``{done, value}``."""
        for row in self:
            return JsDict(done=False, value=row)
        return JsDict(done=True)

    def toArray(self) -> list[JsDict]:
        """The rows that are left."""
        return JsArray(self)

    def one(self) -> JsDict:
        """The only row. Raises JsException: there are none, or more."""
        rows = list(islice(self, 2))
        if len(rows) != 1:
            raise JsException(MULTIPLE_RESULTS if rows else NO_RESULTS)
        self.next()
        return rows[0]

    def raw(self) -> SqlStorageRawCursor:
        """The rows that are left, as lists."""
        return SqlStorageRawCursor(self.row)

    def __iter__(self) -> Iterator[JsDict]:
        return self

    def __next__(self) -> JsDict:
        return JsDict(zip(self.columnNames, self.row(), strict=True))

    def row(self) -> list[Any]:
        """The next one's columns. Raises StopIteration."""
        try:
            row = next(self._rows)
        except StopIteration:
            self._over, self._all_read = True, max(self._all_read, self._given)
            raise
        except apsw.Error as error:
            raise self._failure(error) from None
        self._given += 1
        return list(map(column, row))

    def _run(self, sql: str, values: list[Any]) -> Iterator[tuple[Any, ...]]:
        self._file.guard.reset()
        cursor = self._file.sqlite.cursor()
        cursor.exec_trace = self._begins
        try:
            rows = cursor.execute(sql, values)
            for row in rows:
                self._first.append(row)
                if len(self._first) == _AT_ONCE and self._alone and self._only_reads:
                    return chain(self._first, rows)
        except apsw.Error as error:
            raise self._failure(error) from None
        if not self._ran:
            raise JsException(NO_STATEMENT)
        self._count()
        self._over = not self._first
        return iter(self._first)

    def _begins(self, cursor: apsw.Cursor, sql: str, values: object) -> bool:
        """Before each statement's first step."""
        if not cursor.has_vdbe:  # a comment, or nothing
            return True
        if self._ran:
            if self._bound:
                raise JsException(ONLY_THE_LAST)
            self._count()
            self._first.clear()
        self._ran, self._bound, self._only_reads = True, bool(values), cursor.is_readonly
        self.columnNames = [name for name, *_ in cursor.get_description()]
        if not self._only_reads:
            self._file.begin()
        self._counter.start(sql)
        return True

    def _count(self) -> None:
        _, read, written = self._counter.stop(len(self._first))
        self._all_read, self.rowsWritten = self._all_read + read, self.rowsWritten + written

    def _failure(self, error: apsw.Error) -> JsException:
        """What SQLite has undone as a whole, such as ON CONFLICT ROLLBACK, undoes what others wrote: nobody may be told
        that it is kept."""
        self._file.check_open(error)
        return JsException(explained(error, self._file.guard.refusal))


class SqlStorageRawCursor:
    """Iterate, or ``toArray()``: lists."""

    def __init__(self, row: Callable[[], list[Any]]) -> None:
        self._row = row

    def toArray(self) -> list[list[Any]]:
        return JsArray(self)

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        return self._row()


class SyncKvStorage:
    """``storage.kv``: https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/#synchronous-kv-api"""

    def __init__(self, file: ObjectFile) -> None:
        self._file = file

    def get(self, key: object, *_: object) -> Any:
        """None where there is none."""
        return entries.get(self._file, key)

    def put(self, key: object, value: object, *_: object) -> None:
        entries.put(self._file, key, value)

    def delete(self, key: object, *_: object) -> bool:
        """Whether it was there."""
        return entries.delete(self._file, key)

    def list(self, *args: object, **options: object) -> Iterator[list[Any]]:
        """``[key, value]``, in the keys' order."""
        given = options_of(args, options, "'list' on 'SyncKvStorage': parameter 1", "ListOptions")
        return ([*pair] for pair in entries.listed(self._file, given))


__all__ = ["SqlStorage", "SqlStorageCursor", "SqlStorageRawCursor", "SyncKvStorage"]
