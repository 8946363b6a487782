"""No SQL of a worker's reaches out of its file, runs for longer than it may, or takes more memory than it may."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from d1_support import CONFIG, asking, database, project
from dev_server import StartPilot

ENDLESS = "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT "
SLOW = CONFIG + '\n[[d1_databases]]\nbinding = "OTHER"\n\n[pilot]\nd1_query_timeout = 2\n'
STOPPED = "D1_ERROR: D1 DB exceeded its CPU time limit and was reset."
FOREIGN = "D1_ERROR: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_FOREIGNKEY)"
TWO = CONFIG + '\n[[d1_databases]]\nbinding = "OTHER"\n\n[[d1_databases]]\nbinding = "TWIN"\n' + CONFIG.splitlines()[-1]


async def test_our_own_statements_are_not_a_way_in(start_pilot: StartPilot, tmp_path: Path) -> None:
    """What the host runs itself, word for word, before or after it was run: refused all the same."""
    async with database(start_pilot, tmp_path) as ask:
        assert await ask(
            """
            await db.exec("CREATE TABLE t (a)")
            own = ("BEGIN IMMEDIATE", "BEGIN DEFERRED", "COMMIT", "ROLLBACK", "SAVEPOINT call", "RELEASE call",
                   "ROLLBACK TO call", "PRAGMA page_count", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL")
            calls = [caught(db.prepare(sql).run()) for sql in own for _ in range(3)]
            said = await asyncio.gather(*calls)
            await db.exec("INSERT INTO t VALUES (1)")
            return [all(text.startswith("D1_ERROR: ") for text in said), await db.prepare("SELECT a FROM t").raw()]
            """
        ) == [True, [[1]]]


async def test_nothing_is_written_beside_the_database(start_pilot: StartPilot, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    async with database(start_pilot, folder) as ask:
        before = {path.name for path in folder.rglob("*")}
        stolen = tmp_path / "stolen.db"
        said = await ask(
            f"""
            tries = ("ATTACH '{stolen}' AS x", "VACUUM INTO '{stolen}'", "VACUUM main INTO '{stolen}'",
                     "PRAGMA temp_store_directory='{tmp_path}'", "SELECT writefile('{stolen}', 'x')",
                     "SELECT readfile('/etc/passwd')", "SELECT load_extension('{stolen}')",
                     "CREATE VIRTUAL TABLE z USING csv(filename='/etc/passwd')", "SELECT edit('x')",
                     "CREATE VIEW v AS SELECT load_extension('{stolen}'); SELECT * FROM v")
            return [await caught(db.prepare(sql).all()) for sql in tries]
            """
        )
        assert all(text.startswith("D1_ERROR: ") for text in said), said
        assert not stolen.exists()
        written = {path.name for path in folder.rglob("*")} - before
        assert written == {"db.sqlite", "db.sqlite-wal", "db.sqlite-shm"}, written


async def test_databases_are_apart_and_an_id_is_shared(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path, config=TWO) as ask:
        assert await ask(
            """
            await env.DB.exec("CREATE TABLE t (a)\\nINSERT INTO t VALUES (1)")
            look = "SELECT a FROM t"
            return [await env.TWIN.prepare(look).raw(), await caught(env.OTHER.prepare(look).raw())]
            """
        ) == [[[1]], "D1_ERROR: no such table: t: SQLITE_ERROR"]


async def test_too_many_rows_are_refused(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with asking(pilot := await start_pilot(project(tmp_path))) as ask:
        process = psutil.Process(pilot.process.pid)
        await ask("await db.exec('CREATE TABLE t (a)')")
        before = process.memory_info().rss
        for sql in (
            ENDLESS + "n, zeroblob(2000000) FROM r",
            ENDLESS + "n FROM r",
            "SELECT " + ",".join(["zeroblob(2000000)"] * 100),
            ENDLESS + "n, randomblob(1000) FROM r LIMIT 100000; SELECT 1",
        ):
            assert await ask(f"return await caught(db.prepare({sql!r}).all())") == (
                "D1_ERROR: D1 DB's isolate exceeded its memory limit and was reset."
            )
        assert process.memory_info().rss - before < 500e6  # bytes
        assert await ask("return await db.prepare('SELECT 1 AS a').first('a')") == 1
        joined = ENDLESS + "group_concat(zeroblob(100000)) FROM (SELECT n FROM r LIMIT 100)"
        assert await ask(f"return await caught(db.prepare({joined!r}).all())") == (
            "D1_ERROR: string or blob too big: SQLITE_TOOBIG"
        )


async def test_too_much_at_once_is_refused(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        sent, names, many, after = await ask(
            """
            await db.exec("CREATE TABLE t (a)")
            insert = db.prepare("INSERT INTO t VALUES (?)")
            wide = db.prepare(f'WITH c AS (SELECT 1 AS "{"x" * 90_000}") SELECT *, *, * FROM c')
            return [await caught(db.batch([insert.bind("x" * 2_000_000) for _ in range(20)])),
                    await caught(db.batch([wide] * 150)),
                    await caught(db.batch([db.prepare("SELECT 1")] * 100_000)),
                    await db.prepare("SELECT a FROM t").raw()]
            """
        )
        assert sent.startswith("D1_ERROR: a message of 4000")
        assert names == many == "D1_ERROR: D1 DB's isolate exceeded its memory limit and was reset."
        assert after == []


async def test_a_slow_query_is_stopped_and_holds_nobody_up(start_pilot: StartPilot, tmp_path: Path) -> None:
    """Another database answers at once, and so does this one to whoever reads or writes beside a slow reader."""
    async with database(start_pilot, tmp_path, config=SLOW) as ask:
        await ask("await db.exec('CREATE TABLE t (a)')\nawait env.OTHER.exec('CREATE TABLE t (a)')")
        slow = asyncio.create_task(ask(f"return await caught(db.prepare({ENDLESS + 'sum(n) FROM r'!r}).all())"))
        await asyncio.sleep(0.2)
        assert await ask(
            """
            await db.exec("INSERT INTO t VALUES (1)")
            await env.OTHER.exec("INSERT INTO t VALUES (2)")
            return [await db.prepare("SELECT a FROM t").raw(), await env.OTHER.prepare("SELECT a FROM t").raw()]
            """
        ) == [[[1]], [[2]]]
        assert not slow.done()
        assert await slow == STOPPED


async def test_a_slow_write_is_stopped_and_undone(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path, config=SLOW) as ask:
        assert await ask(
            f"""
            await db.exec("CREATE TABLE t (a)")
            slow = db.prepare({"INSERT INTO t " + ENDLESS + "n FROM r"!r})
            quick = db.prepare("INSERT INTO t VALUES (?)")
            one, two, three, four = (quick.bind(n) for n in (1, 2, 3, 4))
            calls = [one.run(), slow.run(), two.run(), db.batch([three, slow]), four.run()]
            outs = await asyncio.gather(*calls, return_exceptions=True)
            rows = await db.prepare("SELECT a FROM t").raw()
            return [[getattr(out, "message", "done") for out in outs], rows]
            """
        ) == [["done", STOPPED, "done", STOPPED, "done"], [[1], [2], [4]]]


async def test_a_long_single_step_is_stopped(start_pilot: StartPilot, tmp_path: Path) -> None:
    """Few steps of SQLite's virtual machine, each of them long: counting steps would not do."""
    async with database(start_pilot, tmp_path, config=SLOW) as ask:
        sql = ENDLESS + "sum(length(replace(hex(zeroblob(1000000)), '0', 'a'))) FROM r"
        assert await ask(f"return await caught(db.prepare({sql!r}).all())") == STOPPED


async def test_a_call_that_undoes_everything_undoes_only_itself(start_pilot: StartPilot, tmp_path: Path) -> None:
    """ON CONFLICT ROLLBACK, RAISE(ROLLBACK), a foreign key looked at on commit: others shared the transaction."""
    async with database(start_pilot, tmp_path) as ask:
        outs, rows = await ask(
            """
            await db.exec("CREATE TABLE t (a UNIQUE ON CONFLICT ROLLBACK)\\nCREATE TABLE p (i INTEGER PRIMARY KEY)")
            await db.exec("CREATE TABLE c (p REFERENCES p (i) DEFERRABLE INITIALLY DEFERRED)")
            await db.exec("CREATE TRIGGER no BEFORE DELETE ON t BEGIN SELECT raise(ROLLBACK, 'kept'); END")
            insert = db.prepare("INSERT INTO t VALUES (?)")
            calls = []
            for n in range(0, 60, 2):
                calls += [insert.bind(n).run(), insert.bind(0).run(), db.prepare("DELETE FROM t").run(),
                          db.prepare("INSERT INTO c VALUES (9)").run(), insert.bind(n + 1).run()]
            outs = await asyncio.gather(*calls, return_exceptions=True)
            rows = await db.prepare("SELECT count(*), max(a) FROM t").raw()
            return [[getattr(out, "message", "done") for out in outs[:10]], rows]
            """
        )
        unique = "D1_ERROR: UNIQUE constraint failed: t.a: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_UNIQUE)"
        kept = "D1_ERROR: kept: SQLITE_CONSTRAINT (extended: SQLITE_CONSTRAINT_TRIGGER)"
        assert outs == ["done", unique, kept, FOREIGN, "done"] * 2
        assert rows == [[60, 59]]
