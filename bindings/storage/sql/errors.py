"""What went wrong in SQLite, in the words of workerd."""

from __future__ import annotations

import apsw

WRONG_BINDINGS = "Wrong number of parameter bindings for SQL query."
ONLY_THE_LAST = "When executing multiple SQL statements in a single call, only the last statement can have parameters."
TOO_LONG = "statement too long: SQLITE_TOOBIG"


def explained(error: apsw.Error, refusal: str | None = None) -> str:
    """``no such table: nope: SQLITE_ERROR``: SQLite's text, where in the statement, and the code's name.

    ``refusal`` is the authorizer's own text, if it has one.
    """
    if isinstance(error, apsw.AuthError) and refusal is not None:
        return refusal
    if isinstance(error, apsw.BindingsError):
        return WRONG_BINDINGS
    offset = getattr(error, "error_offset", -1)
    where = f" at offset {offset}" if offset >= 0 else ""
    return f"{error}{where}{_code(error)}"


def _code(error: apsw.Error) -> str:
    primary, extended = getattr(error, "result", -1), getattr(error, "extendedresult", -1)
    name = apsw.mapping_result_codes.get(primary)
    if name is None:
        return ""
    further = apsw.mapping_extended_result_codes.get(extended) if extended != primary else None
    return f": {name} (extended: {further})" if further else f": {name}"


__all__ = ["ONLY_THE_LAST", "TOO_LONG", "WRONG_BINDINGS", "explained"]
