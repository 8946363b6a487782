"""``env.DB``: the worker's half. Facts: docs/reference/bindings.md#d1.

https://developers.cloudflare.com/d1/worker-api/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.client import BindingClient, HostCaller, js_exception
from bindings.d1.values import bound, read, read_rows
from runtime.values import JsArray, JsDict, JsException, well_formed
from runtime.wire import RemoteError

FAILED = "D1Error"  # the name under which the host's half reports a statement that failed
UNCONSTRAINED = ("first-unconstrained", "first-primary")
_decode = msgspec.msgpack.Decoder().decode

Statement = Sequence[object]
"""``[sql, values]``, as it is sent."""


class _Session:
    """Where statements are sent to, and the newest bookmark that came back."""

    def __init__(self, caller: HostCaller, bookmark: str | None = None) -> None:
        self._caller, self.bookmark = caller, bookmark

    async def send(self, statements: Sequence[Statement], wrong: str = "D1_ERROR: ") -> list[_Result]:
        """Their results, of one transaction. Raises JsException; its text begins with ``wrong``."""
        try:
            results, bookmark = await self._caller.call("query", statements)
        except RemoteError as error:
            raise _failed(error, wrong) from None
        except ValueError as error:  # more than the wire takes at once
            raise _error(wrong, str(error)) from None
        if self.bookmark is None or self.bookmark < bookmark:
            self.bookmark = bookmark
        return [_Result(*result) for result in results]


class _Result:
    """One statement's."""

    __slots__ = ("_columns", "_meta", "_rows")

    def __init__(self, columns: list[str], rows: bytes, meta: dict[str, Any]) -> None:
        self._columns, self._rows, self._meta = columns, rows, meta

    def whole(self) -> JsDict:
        meta = JsDict(self._meta)
        meta["timings"] = JsDict(meta["timings"])
        return JsDict(success=True, meta=meta, results=self.dicts())

    def dicts(self) -> list[JsDict]:
        columns = self._columns
        return JsArray([JsDict(zip(columns, row, strict=True)) for row in read_rows(_decode(self._rows))])

    def lists(self, names: bool) -> list[list[object]]:
        rows = JsArray([JsArray(row) for row in read_rows(_decode(self._rows))])
        return JsArray([JsArray(self._columns), *rows]) if names else rows

    @property
    def duration_ms(self) -> float:
        return float(self._meta["duration"])


class D1PreparedStatement:
    """SQL, and what is bound to it. Nothing is looked at until it runs, and it may run again."""

    def __init__(self, session: _Session, statement: str, params: Sequence[object] = ()) -> None:
        self._session, self.statement, self.params = session, statement, list(params)

    def bind(self, *values: object) -> D1PreparedStatement:
        """Another statement, with these values for its ``?``. Raises JsException (``D1_TYPE_ERROR``), TypeError."""
        return D1PreparedStatement(self._session, self.statement, [bound(value) for value in values])

    async def all(self) -> JsDict:
        """``{success, meta, results}``: a JsDict per row."""
        return (await self._result()).whole()

    run = all

    async def first(self, column: str | None = None) -> Any:
        """The first row, or what it has in ``column``; None where there is no row."""
        rows = (await self._result()).dicts()
        if not rows or column is None:
            return rows[0] if rows else None
        if column not in rows[0]:
            raise _error("D1_COLUMN_NOTFOUND: ", "Column not found", f" ({column})")
        return rows[0][column]

    async def raw(self, options: object = None, **more: object) -> list[list[Any]]:
        """A list per row; ``columnNames=True`` puts one with the names first."""
        given = options if isinstance(options, Mapping) else more
        return (await self._result()).lists(bool(given.get("columnNames")))

    async def _result(self) -> _Result:
        [result] = await self._session.send([[self.statement, self.params]])
        return result

    def __repr__(self) -> str:
        return f"<D1PreparedStatement {self.statement!r:.60}>"


class _Database(BindingClient):
    """What a database and its sessions have in common."""

    def __init__(self, name: str, caller: HostCaller, session: _Session | None = None) -> None:
        super().__init__(name, caller)
        self._session = session or _Session(caller)

    def prepare(self, sql: str) -> D1PreparedStatement:
        return D1PreparedStatement(self._session, self._text("prepare", sql))

    async def batch(self, statements: Sequence[D1PreparedStatement]) -> list[JsDict]:
        """Their results, of one transaction: if one of them fails, none has done anything."""
        made = isinstance(statements, list | tuple) and all(isinstance(one, D1PreparedStatement) for one in statements)
        if not made:
            raise TypeError(f"env.{self._name}.batch() takes a list of what prepare() makes")
        sent = [[statement.statement, statement.params] for statement in statements]
        return JsArray([result.whole() for result in await self._session.send(sent)])

    def _text(self, method: str, sql: object) -> str:
        if not isinstance(sql, str):
            raise TypeError(f"env.{self._name}.{method}() takes SQL as text, not {type(sql).__name__}")
        return sql if sql.isascii() else well_formed(sql)


class D1Database(_Database):
    product = "D1Database"

    async def exec(self, sql: str) -> JsDict:
        """``{count, duration}``: each line is a piece of SQL of its own, and all of them are one transaction."""
        lines = self._text("exec", sql).strip().split("\n")
        results = await self._session.send(
            [[line, []] for line in lines], f"D1_EXEC_ERROR: Error in line 1: {lines[0]}: "
        )
        return JsDict(count=len(results), duration=read(sum(result.duration_ms for result in results)))

    def withSession(self, constraintOrBookmark: object = None) -> D1DatabaseSession:
        if constraintOrBookmark is not None and not isinstance(constraintOrBookmark, str):
            what = f"a constraint or a bookmark as text, not {type(constraintOrBookmark).__name__}"
            raise TypeError(f"env.{self._name}.withSession() takes {what}")
        given = (constraintOrBookmark or "").strip() or None
        bookmark = None if given in UNCONSTRAINED else given
        return D1DatabaseSession(self._name, self._caller, _Session(self._caller, bookmark))

    async def dump(self) -> None:
        """Upstream's alpha databases alone have it."""
        raise _error("D1_DUMP_ERROR: ", "Status + 404")


class D1DatabaseSession(_Database):
    """As the database; it has but one copy, so whatever it is asked for is consistent."""

    product = "D1DatabaseSession"

    def getBookmark(self) -> str | None:
        return self._session.bookmark


def _failed(error: RemoteError, wrong: str) -> JsException:
    return _error(wrong, error.message) if error.name == FAILED else js_exception(error)


def _error(before: str, text: str, after: str = "") -> JsException:
    """``before`` names the kind; an exec's names the line too, which belongs to the cause."""
    kind, _, cause = f"{before}{text}".partition(": ")
    return JsException(f"{kind}: {cause}{after}", cause=JsException(cause))


__all__ = ["FAILED", "D1Database", "D1DatabaseSession", "D1PreparedStatement"]
