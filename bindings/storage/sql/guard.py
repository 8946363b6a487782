"""The authorizer: SQLite asks it for each thing that a statement would do, while it prepares the statement.

It refuses whatever is not allowed, and writes down what tells where the statement must run and what it counts as.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import apsw

from bindings.storage.sql.allowed import (
    ABOUT_THE_CONNECTION,
    FUNCTIONS,
    MODULES,
    NO_TRANSACTIONS,
    RESERVED,
    SCHEMA_PRAGMAS,
    SETTING_PRAGMAS,
)

OK, DENY = apsw.SQLITE_OK, apsw.SQLITE_DENY
SCHEMA_TABLE = "sqlite_master"
_FUNCTIONS_OF_ROWS = "json", "pragma_"  # as the names begin of virtual tables that SQLite makes where one is named

Rule = Callable[["Guard", "str | None", "str | None"], bool]


class Guard:
    """One connection's."""

    def __init__(self, plain: bool = False) -> None:
        self._plain = plain  # nothing is allowed whose one step may take long
        self.trusted = False  # whether the statements are our own
        self.reset()

    def reset(self) -> None:
        """Before a call."""
        self.refusal: str | None = None  # a better text than SQLite's for what was refused
        self.about_connection = False  # asks for what only the connection which writes knows
        self.forget()

    def forget(self) -> None:
        """Before a statement."""
        self.asked = False
        self.reads_rows = False  # of any table
        self.inserted: set[str] = set()  # tables
        self.updated: dict[str, set[str]] = {}  # table → columns
        self.deletes = False
        self.schema_rows = 0  # of sqlite_master that are written

    @contextmanager
    def trusting(self) -> Iterator[None]:
        """Statements of our own may do anything."""
        self.trusted = True
        try:
            yield
        finally:
            self.trusted = False

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, trigger: str | None
    ) -> int:
        if self.trusted:
            return OK
        self.asked = True
        if database == "temp" and action not in _IN_TEMP:
            return DENY
        if database not in (None, "main", "temp") and action != apsw.SQLITE_ALTER_TABLE:
            return DENY
        rule = _RULES.get(action)
        return OK if rule is not None and rule(self, first, second) else DENY

    # One rule for each kind of action: whether it is allowed

    def _anything(self, first: str | None, second: str | None) -> bool:
        return True

    def _named(self, first: str | None, second: str | None) -> bool:
        return not _reserved(first) and not _reserved(second)

    def _read(self, table: str | None, column: str | None) -> bool:
        self.reads_rows = True
        if self._plain and (table or "").lower().startswith(_FUNCTIONS_OF_ROWS):
            return False
        return not _reserved(table)

    def _delete(self, table: str | None, _: str | None) -> bool:
        self.deletes |= table != SCHEMA_TABLE
        return not _reserved(table)

    def _insert(self, table: str | None, _: str | None) -> bool:
        if table == SCHEMA_TABLE:
            self.schema_rows += 1
        elif table is not None:
            self.inserted.add(table)
        return not _reserved(table)

    def _update(self, table: str | None, column: str | None) -> bool:
        if table is not None and column is not None:
            self.schema_rows += table == SCHEMA_TABLE and table not in self.updated
            self.updated.setdefault(table, set()).add(column)
        return not _reserved(table)

    def _function(self, _: str | None, name: str | None) -> bool:
        lower = (name or "").lower()
        self.about_connection |= lower in ABOUT_THE_CONNECTION
        return lower in FUNCTIONS and not self._plain

    def _pragma(self, name: str | None, argument: str | None) -> bool:
        if self._plain:
            return False
        lower = (name or "").lower()
        self.about_connection |= lower in SETTING_PRAGMAS
        return (lower in SCHEMA_PRAGMAS and not _reserved(argument)) or lower in SETTING_PRAGMAS

    def _module(self, _: str | None, module: str | None) -> bool:
        return (module or "").lower() in MODULES

    def _transaction(self, first: str | None, second: str | None) -> bool:
        self.refusal = NO_TRANSACTIONS
        return False


def _reserved(name: str | None) -> bool:
    return name is not None and name[: len(RESERVED)].lower() == RESERVED


_IN_TEMP = {apsw.SQLITE_READ, apsw.SQLITE_UPDATE}
_RULES: dict[int, Rule] = {
    apsw.SQLITE_SELECT: Guard._anything,
    apsw.SQLITE_RECURSIVE: Guard._anything,
    apsw.SQLITE_ANALYZE: Guard._anything,
    apsw.SQLITE_READ: Guard._read,
    apsw.SQLITE_DELETE: Guard._delete,
    apsw.SQLITE_INSERT: Guard._insert,
    apsw.SQLITE_UPDATE: Guard._update,
    apsw.SQLITE_FUNCTION: Guard._function,
    apsw.SQLITE_PRAGMA: Guard._pragma,
    apsw.SQLITE_CREATE_VTABLE: Guard._module,
    apsw.SQLITE_DROP_VTABLE: Guard._module,
    apsw.SQLITE_TRANSACTION: Guard._transaction,
    apsw.SQLITE_SAVEPOINT: Guard._transaction,
    **dict.fromkeys(
        (
            apsw.SQLITE_REINDEX,
            apsw.SQLITE_ALTER_TABLE,
            apsw.SQLITE_CREATE_TABLE,
            apsw.SQLITE_CREATE_INDEX,
            apsw.SQLITE_CREATE_TRIGGER,
            apsw.SQLITE_CREATE_VIEW,
            apsw.SQLITE_DROP_TABLE,
            apsw.SQLITE_DROP_INDEX,
            apsw.SQLITE_DROP_TRIGGER,
            apsw.SQLITE_DROP_VIEW,
        ),
        Guard._named,
    ),
}
"""What stands in no row is refused: ATTACH (and with it VACUUM INTO), DETACH, everything about temporary objects."""
