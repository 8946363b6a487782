"""Cases of test_objects.py: what an object does with its storage."""

import re
import time
from contextlib import contextmanager
from datetime import date, datetime

from pyodide.ffi import JsException


@contextmanager
def raises(kind, text):
    try:
        yield
    except kind as error:
        found = f"{error}"
    else:
        raise AssertionError(f"{text!r} was not raised")
    assert text in found, found


async def refused(call):
    """What a call raises."""
    try:
        await call
    except JsException as error:
        return error
    raise AssertionError("it was not refused")


# Keys and values


async def inside_kv(self):
    storage = self.ctx.storage
    assert await storage.get("none") is None
    assert await storage.put("a", {"b": [1, None]}) is None
    assert await storage.get("a") == {"b": [1, None]}
    await storage.put({"b": 1, "c": b"x"})
    assert await storage.get(["c", "a", "nope"]) == {"a": {"b": [1, None]}, "c": b"x"}
    assert list(await storage.get(["c", "a"])) == ["a", "c"]
    assert [await storage.delete("a"), await storage.delete("a")] == [True, False]
    assert await storage.delete(["b", "c", "d"]) == 2
    await storage.put("x", 1, allowUnconfirmed=True)
    assert await storage.get("x", allowConcurrency=True, noCache=True) == 1
    await storage.sync()


async def inside_kv_values(self):
    storage = self.ctx.storage
    when = datetime(2026, 1, 2, 3, 4, 5, 678000)
    for value in (None, 1, 1.5, "t", when, {1, 2}, {"a": [{"b": None}]}, 2**70):
        await storage.put("k", value)
        assert await storage.get("k") == value
    await storage.put("k", b"bytes")
    assert type(await storage.get("k")) is memoryview
    await storage.put("k", 2**60)
    assert type(await storage.get("k")).__name__ == "JsBigInt"
    for value in (object(), [range(3)], {"a": lambda: 1}, date(2026, 1, 1)):
        error = await refused(storage.put("k", value))
        assert (error.name, error.message) == ("DataCloneError", "[object Object] could not be cloned.")
    with raises(TypeError, "<class 'tuple'> cannot be sent over RPC."):
        await storage.put("k", [(1, 2)])
    assert await storage.get("k") == 2**60
    await storage.put("large", "x" * 3_000_000)
    assert len(await storage.get("large")) == 3_000_000


async def inside_kv_list(self):
    storage = self.ctx.storage
    await storage.put({key: key for key in ("b", "a", "ab", "abc", "é", "z", "\U0001f600")})
    everything = ["a", "ab", "abc", "b", "z", "é", "\U0001f600"]  # the order of their bytes
    assert list(await storage.list()) == everything
    assert await storage.list(limit=2) == {"a": "a", "ab": "ab"}
    assert list(await storage.list(prefix="ab")) == ["ab", "abc"]
    assert list(await storage.list(start="ab", end="z")) == ["ab", "abc", "b"]
    assert list(await storage.list(startAfter="ab", limit=2)) == ["abc", "b"]
    assert list(await storage.list({"reverse": True, "limit": 3})) == everything[::-1][:3]
    assert list(await storage.list(prefix="a", reverse=True)) == ["abc", "ab", "a"]
    for options, text in (
        ({"start": "a", "startAfter": "b"}, "list() cannot be called with both start and startAfter values."),
        ({"limit": 0}, "List limit must be positive."),
    ):
        error = await refused(storage.list(**options))
        assert (error.name, error.message) == ("TypeError", text)
    kv = self.ctx.storage.kv
    assert [*kv.list(prefix="ab")] == [["ab", "ab"], ["abc", "abc"]]
    kv.put("new", 1)
    assert [kv.get("new"), kv.delete("new"), kv.delete("new"), kv.get("new")] == [1, True, False, None]


async def inside_delete_all(self):
    storage = self.ctx.storage
    storage.sql.exec("CREATE TABLE t (a); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t")
    storage.sql.exec("CREATE VIRTUAL TABLE words USING fts5(text)")
    await storage.put("a", 1)
    await storage.setAlarm(time.time() * 1000 + 60_000)
    await storage.deleteAll()
    assert await storage.list() == {}
    assert await storage.getAlarm() is None
    assert storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray() == []
    storage.sql.exec("CREATE TABLE t (b)")


async def inside_transaction(self):
    storage = self.ctx.storage
    await storage.put("a", 1)

    async def good(txn):
        await txn.put("a", 2)
        assert await txn.get("a") == await storage.get("a") == 2
        return "result"

    async def bad(txn):
        await txn.put("a", 3)
        await storage.setAlarm(time.time() * 1000 + 60_000)
        raise ValueError("bad")

    async def undone(txn):
        await txn.put("a", 4)
        txn.rollback()
        for call, name in ((txn.get("a"), "get"), (txn.put("a", 5), "put"), (txn.list(), "list")):
            assert str(await refused(call)) == f"Error: Cannot {name}() on rolled back transaction"
        return "undone"

    assert await storage.transaction(good) == "result"
    error = await refused(storage.transaction(bad))
    assert (error.name, error.message.splitlines()[-1]) == ("PythonError", "ValueError: bad")
    assert await storage.transaction(undone) == "undone"
    within = "Error: Cannot call deleteAll() within a transaction"
    assert str(await refused(storage.transaction(lambda txn: txn.deleteAll()))) == within
    assert "from before 1970-01-01" in str(await refused(storage.getBookmarkForTime(0)))
    assert "Failed to execute 'getBookmarkForTime'" in str(await refused(storage.getBookmarkForTime("x")))
    what = "Failed to execute 'transaction' on 'DurableObjectStorage': parameter 1 is not of type 'function'."
    assert str(await refused(storage.transaction(None))) == f"TypeError: {what}"
    for limit in ("x", 0, float("nan")):
        assert str(await refused(storage.list(limit=limit))) == "TypeError: List limit must be positive."
    assert list(await storage.list({"limit": "1"})) == ["a"]
    assert "not of type 'ListOptions'" in str(await refused(storage.list("a")))
    assert [await storage.get("a"), await storage.getAlarm()] == [2, None]


async def inside_transaction_sync(self):
    storage = self.ctx.storage

    def good():
        storage.kv.put("a", 1)
        return storage.transactionSync(lambda: storage.kv.put("b", 1) or "inner")

    def bad():
        storage.kv.put("a", 2)
        storage.sql.exec("CREATE TABLE t (a)")
        raise KeyError("mine")

    assert storage.transactionSync(good) == "inner"
    with raises(KeyError, "mine"):
        storage.transactionSync(bad)
    assert [storage.kv.get("a"), storage.kv.get("b")] == [1, 1]
    storage.sql.exec("CREATE TABLE t (a)")


async def inside_bookmarks(self):
    storage = self.ctx.storage
    first = await storage.getCurrentBookmark()
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}", first)
    assert await storage.getBookmarkForTime(time.time() * 1000 + 1000) == first
    assert await storage.getCurrentBookmark() > first
    with raises(JsException, "Error: no copy of this object is kept for '0'"):
        await storage.onNextSessionRestoreBookmark("0")


# SQL


async def inside_sql(self):
    sql = self.ctx.storage.sql
    made = sql.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT)")
    assert made.toArray() == []
    written = sql.exec("INSERT INTO t (a, b) VALUES (?, ?), (?, ?)", 1, "x", 2.5, None)
    assert written.rowsWritten == 2
    cursor = sql.exec("SELECT a, b FROM t ORDER BY id")
    assert cursor.columnNames == ["a", "b"]
    assert cursor.rowsRead == 0
    assert cursor.next() == {"done": False, "value": {"a": 1, "b": "x"}}
    assert cursor.toArray() == [{"a": 2.5, "b": None}]
    assert cursor.toArray() == []
    assert cursor.next() == {"done": True}
    assert cursor.rowsRead >= 2
    assert [row.a for row in sql.exec("SELECT a FROM t")] == [1, 2.5]
    assert list(sql.exec("SELECT id, a FROM t").raw()) == [[1, 1], [2, 2.5]]
    assert sql.exec("SELECT id, a FROM t").raw().toArray() == [[1, 1], [2, 2.5]]
    assert sql.exec("SELECT count(*) AS n FROM t").one() == {"n": 2}
    with raises(JsException, "Error: Expected exactly one result from SQL query, but got no results."):
        sql.exec("SELECT * FROM t WHERE id = 99").one()
    with raises(JsException, "but got multiple results."):
        sql.exec("SELECT * FROM t").one()
    assert sql.databaseSize in range(4096, 1_000_000, 4096)
    assert sql.exec("UPDATE t SET a = 9 RETURNING id").toArray() == [{"id": 1}, {"id": 2}]
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n"
    rows = sql.exec(many)
    sql.exec("INSERT INTO t (a) VALUES (1)")
    await self.ctx.storage.sync()
    assert [row.i for row in rows] == list(range(1, 2001))


async def inside_sql_values(self):
    sql = self.ctx.storage.sql

    def kept(value):
        return sql.exec("SELECT ? AS value, typeof(?) AS type", value, value).raw().toArray()[0]

    assert kept(5) == [5, "real"]
    assert kept(None) == [None, "null"]
    assert kept(True) == ["true", "text"]
    assert kept({"a": 1}) == ["[object Object]", "text"]
    assert kept([1, 2]) == ["1,2", "text"]
    value, kind = kept(b"ab")
    assert (type(value), bytes(value), kind) == (memoryview, b"ab", "blob")
    with raises(JsException, "TypeError: Cannot convert a BigInt value to a number"):
        kept(2**60)
    assert sql.exec("SELECT 9007199254740993 AS n").one() == {"n": 9007199254740992.0}
    sql.exec("CREATE TABLE t (n INTEGER)")
    sql.exec("INSERT INTO t VALUES (?)", 5)
    assert sql.exec("SELECT n, typeof(n) AS type FROM t").one() == {"n": 5, "type": "integer"}


async def inside_sql_statements(self):
    sql = self.ctx.storage.sql
    rows = sql.exec("CREATE TABLE t (id UNIQUE); INSERT INTO t VALUES (1), (2); SELECT id FROM t WHERE id > ?", 1)
    assert rows.toArray() == [{"id": 2}]
    for query, values, text in (
        ("SELECT * FROM nope", (), "Error: no such table: nope: SQLITE_ERROR"),
        ("INSERT INTO t VALUES (1)", (), "UNIQUE constraint failed: t.id: SQLITE_CONSTRAINT (extended: SQLITE_CONS"),
        ("SELECT ?", (), "Wrong number of parameter bindings for SQL query."),
        ("SELECT 1", (1,), "Wrong number of parameter bindings for SQL query."),
        ("-- nothing", (), "SQL code did not contain a statement."),
        ("BEGIN", (), "To execute a transaction, please use the state.storage.transaction()"),
        ("SELECT * FROM _cf_KV", (), "prohibited"),
        ("SELECT value FROM _cf_KV WHERE key = ?", ("a",), "prohibited"),
        ("ATTACH 'x' AS y", (), "not authorized"),
        ("PRAGMA journal_mode = DELETE", (), "not authorized"),
    ):  # fmt: skip
        with raises(JsException, text):
            sql.exec(query, *values)
    assert "_cf_KV" in [row.name for row in sql.exec("SELECT name FROM sqlite_master")]
    assert sql.exec("SELECT count(*) AS n FROM t").one().n == 2


async def inside_alarm_times(self):
    storage = self.ctx.storage
    for due, text in (
        (0, "setAlarm() cannot be called with an alarm time <= 0"),
        ("soon", "Failed to execute 'setAlarm' on 'DurableObjectStorage': parameter 1 is not of type 'date'."),
    ):
        error = await refused(storage.setAlarm(due))
        assert (error.name, error.message) == ("TypeError", text)
    when = datetime(2099, 1, 2, 3, 4, 5)
    await storage.setAlarm(when)
    assert await storage.getAlarm() == when.timestamp() * 1000
    await storage.deleteAlarm()
