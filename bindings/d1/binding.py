"""``env.DB``: the host's half. What arrives was sent by user code, and is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.base import CallError
from bindings.d1.database import Answer, Database, Query
from bindings.d1.sql.errors import D1Error
from bindings.d1.worker import FAILED
from bindings.storage.resources import Resources

if TYPE_CHECKING:
    from bindings.d1.sql.connection import Outcome

BINDABLE = frozenset((float, str, bytes, type(None)))
_ARGUMENTS = tuple[list[Query]]
SERVED_BY = "miniflare.db"  # as upstream's local server says


class D1Binding(msgspec.Struct):
    name: str
    id: str
    databases: Resources[Database]
    query_s: float  # that one call may take
    client: str = "bindings.d1.worker:D1Database"
    client_args: Mapping[str, Any] = {}

    @property
    def explored(self) -> Mapping[str, object]:
        return {"id": self.id}

    def describe(self) -> tuple[str, str]:
        about = self.databases.about(self.id)
        return "D1 database", about.name if about else self.id

    async def call(self, method: str, args: Sequence[Any]) -> object:
        """``query``: ``[[sql, values], …]`` → ``[[[columns, rows, meta], …], bookmark]``."""
        if method != "query":
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        try:
            answer = await self._database().call(_checked(args))
        except D1Error as error:
            raise CallError(FAILED, str(error)) from None
        return [[[o.columns, o.rows, meta(o, answer)] for o in answer.outcomes], answer.bookmark]

    def _database(self) -> Database:
        """Raises D1Error: someone has deleted it."""
        if (found := self.databases.find(self.id)) is None:
            raise D1Error(f"The database {self.id} could not be found")
        found.query_s = self.query_s
        return found


def _checked(args: Sequence[Any]) -> list[Query]:
    queries: list[Query]
    try:
        [queries] = msgspec.convert(args, type=_ARGUMENTS)
    except msgspec.ValidationError as error:
        raise CallError("TypeError", f"query: {error}") from None
    for query in queries:
        for value in query.values:
            if type(value) not in BINDABLE:
                raise CallError("TypeError", f"query: {type(value).__name__} cannot be bound")
    return queries


def meta(outcome: Outcome, answer: Answer) -> dict[str, Any]:
    """``result.meta``, in upstream's order."""
    return {
        "served_by": SERVED_BY,
        "served_by_primary": True,
        "total_attempts": 1,
        "timings": {"sql_duration_ms": outcome.duration_ms},
        "duration": outcome.duration_ms,
        "changes": outcome.changes,
        "last_row_id": outcome.last_row_id,
        "changed_db": outcome.rows_written > 0,
        "size_after": answer.size,
        "rows_read": outcome.rows_read,
        "rows_written": outcome.rows_written,
    }


__all__ = ["D1Binding", "meta"]
