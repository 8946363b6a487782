"""What a statement that fails says, word for word."""

from __future__ import annotations

from pathlib import Path

from d1_support import database
from dev_server import StartPilot

NO_TRANSACTION = (
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs"
)
SCHEMA = """
for sql in (
    "CREATE TABLE uq (a UNIQUE, n NOT NULL DEFAULT 1, c CHECK (c > 0))", "CREATE TABLE p (i INTEGER PRIMARY KEY)",
    "CREATE TABLE ch (p REFERENCES p (i))", "INSERT INTO uq VALUES (1, 1, 1)", "INSERT INTO p VALUES (1)",
    "CREATE TABLE s (a INT) STRICT", "CREATE VIRTUAL TABLE ft USING fts5 (x)",
):
    await db.prepare(sql).run()
"""


def constraint(text: str, kind: str) -> str:
    return f"{text}: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_{kind})"


FAILURES = {
    "SELECT * FROM nope": "no such table: nope: SQLITE_ERROR",
    "SELEC 1": 'near "SELEC": syntax error at offset 0: SQLITE_ERROR',
    "SELECT nope FROM uq": "no such column: nope at offset 7: SQLITE_ERROR",
    "INSERT INTO uq VALUES (1, 2, 3)": constraint("UNIQUE constraint failed: uq.a", "UNIQUE"),
    "INSERT INTO p VALUES (1)": constraint("UNIQUE constraint failed: p.i", "PRIMARYKEY"),
    "INSERT INTO uq VALUES (2, NULL, 3)": constraint("NOT NULL constraint failed: uq.n", "NOTNULL"),
    "INSERT INTO uq VALUES (2, 1, 0)": constraint("CHECK constraint failed: c > 0", "CHECK"),
    "INSERT INTO ch VALUES (4)": constraint("FOREIGN KEY constraint failed", "FOREIGNKEY"),
    "INSERT INTO s VALUES ('x')": constraint("cannot store TEXT value in INT column s.a", "DATATYPE"),
    "SELECT ?": "Wrong number of parameter bindings for SQL query.",
    "": "No SQL statements detected.",
    " -- nothing": "No SQL statements detected.",
    "BEGIN": NO_TRANSACTION,
    "COMMIT": NO_TRANSACTION,
    "SAVEPOINT call": NO_TRANSACTION,
    "RELEASE call": NO_TRANSACTION,
    "ROLLBACK TO call": NO_TRANSACTION,
    "ATTACH 'other.db' AS other": "not authorized: SQLITE_AUTH",
    "DETACH main": "not authorized: SQLITE_AUTH",
    "CREATE TEMP TABLE t (a)": "not authorized: SQLITE_AUTH",
    "CREATE TABLE temp.t (a)": "not authorized: SQLITE_AUTH",
    "CREATE TABLE _cf_t (a)": "not authorized: SQLITE_AUTH",
    "PRAGMA journal_mode": "not authorized: SQLITE_AUTH",
    "PRAGMA user_version": "not authorized: SQLITE_AUTH",
    "PRAGMA writable_schema = 1": "not authorized: SQLITE_AUTH",
    "PRAGMA temp_store_directory = '/tmp'": "not authorized: SQLITE_AUTH",
    "SELECT * FROM pragma_user_version": "not authorized: SQLITE_AUTH",
    "CREATE VIRTUAL TABLE f USING fts4 (x)": "not authorized: SQLITE_AUTH",
    "SELECT sqlite_version()": "not authorized to use function: sqlite_version at offset 7: SQLITE_ERROR",
    "SELECT load_extension('x')": "not authorized: SQLITE_ERROR",
    "SELECT fts3_tokenizer('simple')": "not authorized to use function: fts3_tokenizer at offset 7: SQLITE_ERROR",
    "SELECT * FROM dbstat": "no such table: dbstat: SQLITE_ERROR",
    "VACUUM": "cannot VACUUM from within a transaction: SQLITE_ERROR",
    "VACUUM INTO '/tmp/stolen.db'": "cannot VACUUM from within a transaction: SQLITE_ERROR",
    "UPDATE sqlite_master SET sql = ''": "table sqlite_master may not be modified: SQLITE_ERROR",
    "INSERT INTO ft_data VALUES (1, 2)": "table ft_data may not be modified: SQLITE_ERROR",
    "SELECT 'a' REGEXP 'b'": "no such function: REGEXP at offset 11: SQLITE_ERROR",
    "SELECT " + ",".join("?" * 101): "too many SQL variables at offset 207: SQLITE_ERROR",
    "SELECT '" + "x" * 100_001 + "'": "statement too long: SQLITE_TOOBIG",
    "SELECT 'a' LIKE '" + "a" * 51 + "'": "LIKE or GLOB pattern too complex: SQLITE_ERROR",
    "SELECT 1" + " UNION SELECT 2" * 5: "too many terms in compound SELECT: SQLITE_ERROR",
    "CREATE TABLE wide (" + ",".join(f"c{n}" for n in range(101)) + ")": "too many columns on wide: SQLITE_ERROR",
    "SELECT json_extract('{', '$')": "malformed JSON: SQLITE_ERROR",
    "SELECT abs(-9223372036854775808)": "integer overflow: SQLITE_ERROR",
    "SELECT zeroblob(5000000)": "string or blob too big: SQLITE_TOOBIG",
    "SELECT randomblob(900000000)": "string or blob too big: SQLITE_TOOBIG",
}  # fmt: skip


async def test_failures_have_d1s_words(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        await ask(SCHEMA)
        said = await ask(f"return [await caught(db.prepare(sql).all()) for sql in {list(FAILURES)!r}]")
        for (sql, wanted), got in zip(FAILURES.items(), said, strict=True):
            if wanted == NO_TRANSACTION:
                got, wanted = got[: len(wanted) + 10], wanted
            assert got == f"D1_ERROR: {wanted}", sql[:80]


async def test_a_failure_has_a_cause(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        assert await ask(
            """
            try:
                await db.prepare("SELEC 1").run()
            except JsException as error:
                return [error.name, error.cause.message, str(error)]
            """
        ) == [
            "Error",
            'near "SELEC": syntax error at offset 0: SQLITE_ERROR',
            'Error: D1_ERROR: near "SELEC": syntax error at offset 0: SQLITE_ERROR',
        ]
        assert await ask("return await caught(db.prepare('SELECT ?; SELECT ?').bind(1, 2).run())") == (
            "D1_ERROR: When executing multiple SQL statements in a single call, "
            "only the last statement can have parameters."
        )


async def test_what_works(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        await ask(SCHEMA)
        for sql, wanted in {
            "PRAGMA foreign_keys": [[1]],
            "PRAGMA foreign_keys = OFF": [],
            "PRAGMA table_info(p)": [[0, "i", "INTEGER", 0, None, 1]],
            "PRAGMA table_xinfo(s)": [[0, "a", "INT", 0, None, 0, 0]],
            "PRAGMA index_list(p)": [],
            "PRAGMA index_info(sqlite_autoindex_uq_1)": [[0, 0, "a"]],
            "PRAGMA foreign_key_list(ch)": [[0, 0, "p", "p", "i", "NO ACTION", "NO ACTION", "NONE"]],
            "PRAGMA foreign_key_check": [],
            "PRAGMA quick_check": [["ok"]],
            "PRAGMA defer_foreign_keys": [[0]],
            "PRAGMA case_sensitive_like = 0": [],
            "PRAGMA ignore_check_constraints": [[0]],
            "PRAGMA legacy_alter_table": [[0]],
            "PRAGMA recursive_triggers": [[0]],
            "PRAGMA reverse_unordered_selects": [[0]],
            "PRAGMA optimize": [],
            "SELECT name FROM pragma_table_info('p')": [["i"]],
            "SELECT pow(2, 3), sqrt(9), unixepoch('1970-01-02')": [[8, 3, 86400]],
            "SELECT date('2026-11-27', '+1 day')": [["2026-11-28"]],
            "SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]'), '{\"b\": 3}' ->> 'b'": [[2, 3]],
            "SELECT value FROM json_each('[1, 2]')": [[1], [2]],
            "INSERT INTO ft VALUES ('hello world')": [],
            "SELECT x, highlight(ft, 0, '<', '>') FROM ft WHERE ft MATCH 'hello'": [["hello world", "<hello> world"]],
            "SELECT group_concat(i, ',') FROM (SELECT i FROM p UNION SELECT 2 ORDER BY i)": [["1,2"]],
            "SELECT last_insert_rowid(), changes()": [[1, 1]],
            "ALTER TABLE p ADD COLUMN extra": [],
            "ALTER TABLE p RENAME COLUMN extra TO more": [],
            "ALTER TABLE p DROP COLUMN more": [],
            "ALTER TABLE s RENAME TO s2": [],
            "CREATE VIEW v AS SELECT i FROM p": [],
            "CREATE TRIGGER t AFTER INSERT ON p BEGIN INSERT INTO ch VALUES (new.i); END": [],
            "INSERT INTO p VALUES (7)": [],
            "SELECT p FROM ch": [[7]],
            "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 2) SELECT n FROM r": [[1], [2]],
            "WITH x AS (SELECT 9 AS n) INSERT INTO p SELECT n FROM x RETURNING i": [[9]],
            "ANALYZE": [],
            "REINDEX": [],
            "EXPLAIN QUERY PLAN SELECT 1": [[2, 0, 0, "SCAN CONSTANT ROW"]],
            "DROP TABLE ft": [],
        }.items():  # fmt: skip
            got = await ask(f"return await db.prepare({sql!r}).raw()")
            assert (
                ([row[-1:] for row in got], len(got)) == ([["SCAN CONSTANT ROW"]], 1)
                if "EXPLAIN" in sql
                else got == wanted
            ), (sql, got)
