"""What went wrong in SQLite, in D1's words."""

from __future__ import annotations

import apsw

from bindings.storage.sql import errors as sql

NO_STATEMENTS = "No SQL statements detected."
TOO_SLOW = "D1 DB exceeded its CPU time limit and was reset."
TOO_MUCH = "D1 DB's isolate exceeded its memory limit and was reset."
OVERLOADED = "D1 DB is overloaded. Too many requests queued."
CLOSED = "D1 DB is closed: the server is stopping."
# https://developers.cloudflare.com/d1/observability/debug-d1/


class D1Error(Exception):
    """A text as D1 has it, without a prefix such as ``D1_ERROR: ``."""


def explained(error: apsw.Error, refusal: str | None = None) -> D1Error:
    """``no such table: nope: SQLITE_ERROR``: as of ``bindings.storage.sql.errors``."""
    return D1Error(TOO_SLOW if isinstance(error, apsw.InterruptError) else sql.explained(error, refusal))
