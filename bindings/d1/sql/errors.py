"""What went wrong in SQLite, in D1's words."""

from __future__ import annotations

import apsw

WRONG_BINDINGS = "Wrong number of parameter bindings for SQL query."
NO_STATEMENTS = "No SQL statements detected."
ONLY_THE_LAST = "When executing multiple SQL statements in a single call, only the last statement can have parameters."
TOO_LONG = "statement too long: SQLITE_TOOBIG"
TOO_SLOW = "D1 DB exceeded its CPU time limit and was reset."
TOO_MUCH = "D1 DB's isolate exceeded its memory limit and was reset."
OVERLOADED = "D1 DB is overloaded. Too many requests queued."
CLOSED = "D1 DB is closed: the server is stopping."
# https://developers.cloudflare.com/d1/observability/debug-d1/


class D1Error(Exception):
    """A text as D1 has it, without a prefix such as ``D1_ERROR: ``."""


def explained(error: apsw.Error, refusal: str | None = None) -> D1Error:
    """``no such table: nope: SQLITE_ERROR``: SQLite's text, where in the statement, and the code's name.

    ``refusal`` is the authorizer's own text, if it has one.
    """
    if isinstance(error, apsw.AuthError) and refusal is not None:
        return D1Error(refusal)
    if isinstance(error, apsw.BindingsError):
        return D1Error(WRONG_BINDINGS)
    if isinstance(error, apsw.InterruptError):
        return D1Error(TOO_SLOW)
    offset = getattr(error, "error_offset", -1)
    where = f" at offset {offset}" if offset >= 0 else ""
    return D1Error(f"{error}{where}{_code(error)}")


def _code(error: apsw.Error) -> str:
    primary, extended = getattr(error, "result", -1), getattr(error, "extendedresult", -1)
    name = apsw.mapping_result_codes.get(primary)
    if name is None:
        return ""
    further = apsw.mapping_extended_result_codes.get(extended) if extended != primary else None
    return f": {name} (extended: {further})" if further else f": {name}"
