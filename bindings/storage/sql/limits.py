"""How large what a worker writes may be, as workerd has it; and a connection that is held to it."""

from __future__ import annotations

from collections.abc import Mapping

import apsw

from bindings.storage.sql.allowed import MODULES
from bindings.storage.sql.guard import Guard

LENGTH_BYTES = 2_200_000  # of a text, a blob, a row: 2 MB and some room
SQL_BYTES = 100_000
COLUMNS = 100
EXPRESSION_DEPTH = 100
COMPOUND_TERMS = 5
VM_INSTRUCTIONS = 25_000
FUNCTION_ARGUMENTS = 127
PATTERN_BYTES = 50  # of LIKE and GLOB
VARIABLES = 100
TRIGGER_DEPTH = 10
DATABASE_BYTES = 10 * 1024**3

LIMITS: Mapping[int, int] = {
    apsw.SQLITE_LIMIT_LENGTH: LENGTH_BYTES,
    apsw.SQLITE_LIMIT_SQL_LENGTH: SQL_BYTES,
    apsw.SQLITE_LIMIT_COLUMN: COLUMNS,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: EXPRESSION_DEPTH,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: COMPOUND_TERMS,
    apsw.SQLITE_LIMIT_VDBE_OP: VM_INSTRUCTIONS,
    apsw.SQLITE_LIMIT_FUNCTION_ARG: FUNCTION_ARGUMENTS,
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: PATTERN_BYTES,
    apsw.SQLITE_LIMIT_VARIABLE_NUMBER: VARIABLES,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: TRIGGER_DEPTH,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_KEPT_MODULES = [*MODULES, "json_each", "json_tree"]  # of those that SQLite has by itself


def shut_in(sqlite: apsw.Connection, guard: Guard, limits: Mapping[int, int] = LIMITS) -> int:
    """What runs on the connection stays in its file, and within ``limits``. Its pages' size in bytes."""
    sqlite.enable_load_extension(False)
    [[page]] = sqlite.execute("PRAGMA page_size")
    size = int(str(page))
    sqlite.execute(f"PRAGMA max_page_count={DATABASE_BYTES // size}", can_cache=False)
    sqlite.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    sqlite.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    for name, value in limits.items():
        sqlite.limit(name, value)
    sqlite.drop_modules(_KEPT_MODULES)
    sqlite.authorizer = guard
    return size


__all__ = ["DATABASE_BYTES", "LENGTH_BYTES", "LIMITS", "SQL_BYTES", "shut_in"]
