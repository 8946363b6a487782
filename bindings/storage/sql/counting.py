"""``meta.changes``, ``rows_read`` and ``rows_written``, as near as SQLite's own counters come.

workerd's SQLite is patched to count each row that a statement visits or writes, index entries included. Here

* ``rows_read`` is what full scans stepped over, and what was sorted; or what was returned, updated and deleted, if that
  is more. Missing are rows that a search by index visits and drops, and those of a bare ``count(*)``, for which SQLite
  reads no row;
* ``rows_written`` is workerd's for statements on plain tables: a row inserted counts once and once more per index, a
  row updated once and once more per index on what is set, a row deleted once; AUTOINCREMENT writes a row more. What
  triggers do counts once per row, a change of the schema about once per object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import apsw

from bindings.storage.sql.guard import Guard

KEPT_EFFECTS = 512  # statements
INDEXES = "SELECT count(DISTINCT l.name) FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x WHERE "
SEPARATE = "NOT (l.origin = 'pk' AND (SELECT wr FROM pragma_table_list(?1)))"  # else the key is the table itself
COUNTS_ON = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1 AND sql LIKE '%AUTOINCREMENT%'"
SET = "x.name IN (SELECT value FROM json_each(?2))"


class Effect(NamedTuple):
    """What is known of a statement from its being prepared."""

    per_change: int = 1  # rows written
    once: int = 0  # rows written besides, where anything changes
    schema: int = 0  # rows written
    reads: bool = True
    visits: bool = False  # what it changes


class Counter:
    """For one connection: ``start`` before a statement's first step, ``stop`` after its last."""

    def __init__(self, connection: apsw.Connection, guard: Guard) -> None:
        self._connection, self._guard = connection, guard
        self._effects: dict[str, Effect] = {}
        self.start("")
        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._finished)

    def start(self, sql: str) -> None:
        """The statement is prepared, and the guard was asked about it unless it was prepared before."""
        if self._guard.asked:
            if len(self._effects) >= KEPT_EFFECTS:
                self._effects.clear()
            self._effects[sql] = self._learned()
            self._guard.forget()
        self._effect = self._effects.get(sql, Effect())
        self._total = self._connection.total_changes()
        self._schema = self._schema_version() if self._effect.schema else 0
        self._scanned, self._sorted = 0, False

    def stop(self, returned: int) -> tuple[int, int, int]:
        """(changes, rows read, rows written) of the statement, which has returned so many rows."""
        effect = self._effect
        changes = self._connection.total_changes() - self._total
        direct = min(changes, self._connection.changes())
        read = self._scanned + returned * self._sorted
        read = max(read, returned * effect.reads, changes * effect.visits)
        schema = effect.schema if effect.schema and self._schema_version() != self._schema else 0
        return changes, read, direct * effect.per_change + changes - direct + effect.once * bool(direct) + schema

    def _finished(self, event: Mapping[str, object]) -> None:
        counted = event.get("stmt_status")
        if isinstance(counted, dict) and not self._guard.trusted:
            steps = counted["SQLITE_STMTSTATUS_FULLSCAN_STEP"]
            self._scanned += steps + 1 if steps else 0
            self._sorted |= counted["SQLITE_STMTSTATUS_SORT"] > 0

    def _learned(self) -> Effect:
        guard = self._guard
        visits = guard.deletes or bool(guard.updated)
        return Effect(self._per_change(), self._once(), guard.schema_rows, guard.reads_rows, visits)

    def _once(self) -> int:
        """A row of sqlite_sequence for each table whose numbers it keeps."""
        with self._guard.trusting():
            return sum(self._number(COUNTS_ON, table) for table in self._guard.inserted)

    def _schema_version(self) -> int:
        """It changes with the schema: CREATE TABLE IF NOT EXISTS may do nothing."""
        with self._guard.trusting():
            return self._number("PRAGMA schema_version")

    def _per_change(self) -> int:
        guard = self._guard
        with guard.trusting():
            if guard.inserted:
                return 1 + max(self._count(SEPARATE, table) for table in guard.inserted)
            columns = {table: json.dumps(sorted(columns)) for table, columns in guard.updated.items()}
            return 1 + max((self._count(SET, table, these) for table, these in columns.items()), default=0)

    def _count(self, which: str, *values: str) -> int:
        return self._number(INDEXES + which, *values)

    def _number(self, query: str, *values: str) -> int:
        [[number]] = self._connection.execute(query, values, can_cache=False)
        return int(str(number))
