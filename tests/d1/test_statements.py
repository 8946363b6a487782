"""prepare, bind, all, run, first, raw, batch, exec, sessions: what they return, and what is one transaction."""

from __future__ import annotations

import re
from pathlib import Path

from d1_support import database
from dev_server import StartPilot

PEOPLE = """
await db.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT UNIQUE, age INTEGER)")
insert = db.prepare("INSERT INTO people (name, age) VALUES (?, ?)")
await db.batch([insert.bind("Ann", 30), insert.bind("Bob", 40)])
"""
META = [
    "served_by", "served_by_primary", "total_attempts", "timings", "duration", "changes", "last_row_id", "changed_db",
    "size_after", "rows_read", "rows_written",
]  # fmt: skip


async def test_all_and_run_return_rows_and_meta(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        await ask(PEOPLE)
        [made, found, none] = await ask(
            """
            insert = db.prepare("INSERT INTO people (name, age) VALUES (?, ?)").bind("Cy", 50)
            select = db.prepare("SELECT * FROM people WHERE age > ? ORDER BY id")
            return [await insert.run(), await select.bind(35).all(), await select.bind(90).run()]
            """
        )
        assert (list(made), list(made["meta"])) == (["success", "meta", "results"], META)
        assert (made["results"], made["success"], none["results"]) == ([], True, [])
        wanted = {"changes": 1, "last_row_id": 3, "changed_db": True, "rows_read": 0, "rows_written": 2}
        assert wanted.items() <= made["meta"].items()
        assert found["results"] == [{"id": 2, "name": "Bob", "age": 40}, {"id": 3, "name": "Cy", "age": 50}]
        assert {"changes": 0, "last_row_id": 3, "changed_db": False, "rows_written": 0}.items() <= found["meta"].items()
        assert (found["meta"]["rows_read"], found["meta"]["size_after"] % 4096) == (3, 0)
        assert await ask(
            """
            got = await db.prepare("SELECT 1 AS a").all()
            return [got.success, got.results[0].a, got.meta.timings.sql_duration_ms >= 0, type(got).__name__]
            """
        ) == [True, 1, True, "JsDict"]


async def test_what_counts_as_written(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        for sql, changed, written in (
            ("CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, a)", True, None),
            ("CREATE TABLE IF NOT EXISTS counted (id)", False, 0),
            ("INSERT INTO counted (a) VALUES (1)", True, 2),
            ("INSERT INTO counted (a) VALUES (1), (2), (3)", True, 4),
            ("INSERT OR IGNORE INTO counted (id) VALUES (1)", False, 0),
            ("CREATE TABLE IF NOT EXISTS more (a)", True, 2),
            ("DROP TABLE IF EXISTS none", False, 0),
            ("ANALYZE", True, None),
            ("PRAGMA optimize", False, 0),
        ):
            meta = (await ask(f"return await db.prepare({sql!r}).run()"))["meta"]
            assert meta["rows_written"] == written or written is None, sql
            assert meta["changed_db"] is changed or written is None, sql
        await ask("await db.batch([db.prepare(f'INSERT INTO more VALUES ({n})') for n in range(300)])")
        await ask("await db.exec('CREATE INDEX by_a ON more (a)')")
        again = "more = db.prepare('SELECT count(*) FROM more WHERE a > 5')\nawait more.run()\n"
        assert (await ask(again + "return await db.prepare('PRAGMA optimize').run()"))["success"]
        wrong = "try:\n    db.withSession(5)\nexcept TypeError as error:\n    return str(error)"
        assert await ask(wrong) == "env.DB.withSession() takes a constraint or a bookmark as text, not int"


async def test_first_and_raw(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        await ask(PEOPLE)
        for code, wanted in (
            ("people.first()", {"name": "Ann", "age": 30}),
            ("people.first('age')", 30),
            ("caught(people.first('nocol'))", "D1_COLUMN_NOTFOUND: Column not found (nocol)"),
            ("people.raw()", [["Ann", 30], ["Bob", 40]]),
            ("people.raw(columnNames=True)", [["name", "age"], ["Ann", 30], ["Bob", 40]]),
            ("people.raw({'columnNames': True})", [["name", "age"], ["Ann", 30], ["Bob", 40]]),
            ("people.raw(True)", [["Ann", 30], ["Bob", 40]]),
            ("nobody.first()", None),
            ("nobody.first('name')", None),
            ("nobody.raw(columnNames=True)", [["name"]]),
            ("db.prepare('SELECT 1 AS a, 2 AS a').first()", {"a": 2}),
            ("db.prepare('SELECT 1 AS a, 2 AS a').raw()", [[1, 2]]),
            ("db.prepare('SELECT NULL AS a').first('a')", None),
            ("db.prepare('INSERT INTO people (name) VALUES (?) RETURNING id, name').bind('Di').raw()", [[3, "Di"]]),
            ("db.prepare('CREATE TABLE a (x); INSERT INTO a VALUES (1); SELECT x, ? FROM a').bind(2).raw()", [[1, 2]]),
            ("db.prepare('SELECT 1; -- and no more').raw()", [[1]]),
        ):  # fmt: skip
            statements = (
                "people = db.prepare('SELECT name, age FROM people ORDER BY id')\n"
                "nobody = db.prepare('SELECT name FROM people WHERE id = 9')\n"
            )
            assert await ask(f"{statements}return await {code}") == wanted, code


async def test_a_statement_is_not_looked_at_before_it_runs_and_runs_again(
    start_pilot: StartPilot, tmp_path: Path
) -> None:
    async with database(start_pilot, tmp_path) as ask:
        assert await ask(
            """
            later = db.prepare("SELECT n FROM later WHERE n >= ?")
            one, two = later.bind(1), later.bind(2)
            await db.exec("CREATE TABLE later (n)\\nINSERT INTO later VALUES (1), (2)")
            return [await one.raw(), await two.raw(), await one.raw(), one is not later]
            """
        ) == [[[1], [2]], [[2]], [[1], [2]], True]


async def test_a_batch_is_one_transaction(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        await ask(PEOPLE)
        [results, failure, count, empty, foreign] = await ask(
            """
            insert = db.prepare("INSERT INTO people (name) VALUES (?)")
            count = db.prepare("SELECT count(*) AS n FROM people")
            results = await db.batch([insert.bind("Cy"), insert.bind("Di"), count])
            failure = await caught(db.batch([insert.bind("Ed"), insert.bind("Ann"), insert.bind("Flo")]))
            empty = await caught(db.batch([]))
            try:
                await db.batch(["SELECT 1"])
            except TypeError as error:
                foreign = str(error)
            return [results, failure, await count.first("n"), empty, foreign]
            """
        )
        assert [result["meta"]["last_row_id"] for result in results] == [3, 4, 4]
        assert results[2]["results"] == [{"n": 4}]
        assert failure == (
            "D1_ERROR: UNIQUE constraint failed: people.name: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)"
        )
        assert (count, empty) == (4, "D1_ERROR: No SQL statements detected.")
        assert foreign == "env.DB.batch() takes a list of what prepare() makes"


async def test_exec_takes_a_line_for_a_piece(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        for sql, wanted in (
            ("CREATE TABLE t (a)\n\nINSERT INTO t VALUES (1); INSERT INTO t VALUES (2)\n  -- a comment\n", 2),
            ("CREATE TABLE\n u (a)", "D1_EXEC_ERROR: Error in line 1: CREATE TABLE: incomplete input: SQLITE_ERROR"),
            ("", "D1_EXEC_ERROR: Error in line 1: : No SQL statements detected."),
            (
                "INSERT INTO t VALUES (3)\nSELEC 1",
                "D1_EXEC_ERROR: Error in line 1: INSERT INTO t VALUES (3): "
                'near "SELEC": syntax error at offset 0: SQLITE_ERROR',
            ),
        ):
            got = await ask(f"return await caught(db.exec({sql!r})) if {wanted!r} != 2 else await db.exec({sql!r})")
            assert (got if isinstance(wanted, str) else got["count"]) == wanted
        assert await ask("return await db.prepare('SELECT a FROM t').raw()") == [
            [1],
            [2],
        ]  # the failed exec did nothing
        assert await ask("return list(await db.exec('SELECT 1'))") == ["count", "duration"]


async def test_sessions_have_bookmarks_in_order(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        [before, first, second, read, given, dumped] = await ask(
            """
            session = db.withSession("first-primary")
            before = session.getBookmark()
            await session.prepare("CREATE TABLE t (a)").run()
            first = session.getBookmark()
            await session.batch([session.prepare("INSERT INTO t VALUES (?)").bind(n) for n in (1, 2)])
            other = db.withSession(first)
            rows = await other.prepare("SELECT a FROM t").raw()
            return [before, first, session.getBookmark(), [rows, other.getBookmark()],
                    db.withSession("anything at all").getBookmark(), await caught(db.dump())]
            """
        )
        assert before is None
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}", first)
        assert first < second
        assert read == [[[1], [2]], second]
        assert (given, dumped) == ("anything at all", "D1_DUMP_ERROR: Status + 404")


async def test_what_was_asked_for_before_is_seen(start_pilot: StartPilot, tmp_path: Path) -> None:
    """Calls that are not awaited one by one are done in their order, and those that fail undo nobody else's."""
    async with database(start_pilot, tmp_path) as ask:
        outcomes = await ask(
            """
            await db.exec("CREATE TABLE t (n INTEGER UNIQUE)")
            insert, count = db.prepare("INSERT INTO t VALUES (?)"), db.prepare("SELECT count(*) AS n FROM t")
            calls = []
            for n in range(100):
                calls += [insert.bind(n).run(), insert.bind(n).run(), count.first("n")]
            outs = await asyncio.gather(*calls, return_exceptions=True)
            return [out if isinstance(out, int) else str(out)[:30] for out in outs]
            """
        )
        assert all(str(out).startswith("Error: D1_ERROR: UNIQUE") for out in outcomes[1::3])
        assert all(n + 1 <= seen <= 100 for n, seen in enumerate(outcomes[2::3]))


async def test_names_are_javascripts(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        assert await ask(
            """
            said = []
            for wrong in ("with_session", "nothing"):
                try:
                    getattr(db, wrong)
                except AttributeError as error:
                    said.append(str(error))
            try:
                db.prepare(5)
            except TypeError as error:
                said.append(str(error))
            return [*said, db is env.DB, db is env["DB"]]
            """
        ) == [
            "env.DB (D1Database) has no 'with_session'; it is withSession, as in JavaScript",
            "env.DB (D1Database) has no 'nothing'; it has: batch, dump, exec, prepare, withSession",
            "env.DB.prepare() takes SQL as text, not int",
            True,
            True,
        ]
