"""A database as SQL text, that makes it again: ``d1 export``.

The form is that of Cloudflare's own export: https://developers.cloudflare.com/d1/best-practices/import-export-data/
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bindings.d1.sql.connection import Connection
from bindings.d1.sql.errors import D1Error

TABLES = (
    "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql NOT NULL ORDER BY name = 'sqlite_sequence', rowid"
)
OTHERS = (
    "SELECT tbl_name, sql FROM sqlite_schema WHERE sql NOT NULL AND type IN ('index', 'trigger', 'view') ORDER BY type"
)
VIRTUAL = "D1 Export error: cannot export databases with Virtual Tables (fts5)"


class DumpOptions(NamedTuple):
    """``tables``: those alone; none means all."""

    no_schema: bool = False
    no_data: bool = False
    tables: Sequence[str] = ()


def dump(connection: Connection, options: DumpOptions) -> Iterator[str]:
    """Line by line, without line ends. Raises D1Error: there are virtual tables."""
    yield "PRAGMA defer_foreign_keys=TRUE;"
    for name, sql in map(_pair, connection.own(TABLES)):
        if options.tables and name not in options.tables:
            continue
        yield from _table(connection, name, sql, options)
    if not options.no_schema:
        for table, sql in map(_pair, connection.own(OTHERS)):
            if not options.tables or table in options.tables:
                yield f"{sql};"


def dump_to(path: Path, connection: Connection, options: DumpOptions) -> None:
    """The same, of one moment, into a file; whole or not at all. Raises OSError and D1Error."""
    aside = path.with_name(f".{path.name}.part")
    connection.begin("DEFERRED")
    try:
        with open(aside, "w", encoding="utf-8", newline="\n") as file:
            for line in dump(connection, options):
                file.write(f"{line}\n")
        aside.replace(path)
    finally:
        connection.rollback()
        aside.unlink(missing_ok=True)


def _table(connection: Connection, name: str, sql: str, options: DumpOptions) -> Iterator[str]:
    if sql.upper().startswith("CREATE VIRTUAL TABLE"):
        raise D1Error(VIRTUAL)
    special = {"sqlite_sequence": "DELETE FROM sqlite_sequence;"}.get(name)
    if name.startswith("sqlite_stat"):
        special = "ANALYZE sqlite_schema;"
    if not options.no_schema:
        yield special or f"{sql};"
    if not options.no_data:
        yield from _rows(connection, name)


def _rows(connection: Connection, name: str) -> Iterator[str]:
    hidden = {2, 3}  # generated columns
    columns = [str(row[1]) for row in connection.own(f"PRAGMA table_xinfo({quoted(name)})") if row[6] not in hidden]
    names = ",".join(map(quoted, columns))
    for row in connection.own_rows(f"SELECT {names} FROM {quoted(name)}"):
        yield f"INSERT INTO {quoted(name)} ({names}) VALUES({','.join(map(literal, row))});"


def quoted(name: str) -> str:
    """As a name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """As a value in SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"X'{value.hex()}'"
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else ("9e999" if value > 0 else "-9e999")
    if isinstance(value, int):
        return str(value)
    text = str(value)
    return f"CAST(X'{text.encode().hex()}' AS TEXT)" if "\0" in text else "'" + text.replace("'", "''") + "'"


def _pair(row: Sequence[object]) -> tuple[str, str]:
    return str(row[0]), str(row[1])


__all__ = ["DumpOptions", "dump", "dump_to", "literal", "quoted"]
