"""What was acknowledged is there after a kill -9, a batch is whole or absent, and an unusable file is named."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

import aiohttp
import pytest

from bindings.d1.database import Database, Query
from crashes import kills
from d1_support import asking, database, project
from dev_server import Pilot, StartPilot

FILE = ".pilot/state/d1/11111111-2222-4333-8444-555555555555/db.sqlite"
WRITER = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        n = int(await request.text())
        insert = self.env.DB.prepare("INSERT INTO t VALUES (?, ?)")
        await self.env.DB.batch([insert.bind(n, part) for part in range(5)])
        return Response("kept")
"""


@pytest.mark.timeout(3600)
async def test_a_kill_in_mid_write_loses_nothing_acknowledged(start_pilot: StartPilot, tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    async with asking(pilot := await start_pilot(folder)) as ask:
        await ask("await db.exec('CREATE TABLE t (n, part)')")
    await pilot.stop()
    (folder / "entry.py").write_text(WRITER)
    acknowledged: set[int] = set()
    for turn in range(turns := kills(10)):
        pilot = await start_pilot(folder)
        writing = [asyncio.create_task(write(pilot, turn * 100_000 + at * 10_000, acknowledged)) for at in range(8)]
        while len(acknowledged) < (turn + 1) * 20:
            await asyncio.sleep(0.005)
        pilot.process.send_signal(signal.SIGKILL)
        await asyncio.gather(*writing)
        await pilot.process.wait()
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        kept = dict(connection.execute("SELECT n, count(*) FROM t GROUP BY n"))
    assert acknowledged <= kept.keys()
    assert set(kept.values()) == {5}
    print(f"{turns} kills, {len(acknowledged)} batches acknowledged, {len(kept)} kept")


async def write(pilot: Pilot, first: int, acknowledged: set[int]) -> None:
    with suppress(aiohttp.ClientError, OSError):
        async with aiohttp.ClientSession() as http:
            for n in range(first, first + 10_000):
                async with http.post(pilot.url, data=str(n)) as response:
                    if response.status == 200 and await response.text() == "kept":
                        acknowledged.add(n)


async def test_a_restart_and_another_program_find_what_was_kept(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with asking(pilot := await start_pilot(project(tmp_path))) as ask:
        await ask("await db.exec('CREATE TABLE t (a)\\nINSERT INTO t VALUES (1)')")
        with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:  # beside it
            assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
            connection.execute("INSERT INTO t VALUES (2)")
        connection.close()
        assert await ask("return await db.prepare('SELECT a FROM t').raw()") == [[1], [2]]
    await pilot.stop()
    assert not (tmp_path / (FILE + "-wal")).exists()
    async with database(start_pilot, tmp_path) as ask:
        assert await ask("return await db.prepare('SELECT a FROM t').raw()") == [[1], [2]]


async def test_a_database_at_rest_has_no_threads_and_no_open_files(tmp_path: Path) -> None:
    database = Database(tmp_path / "one")
    database.idle_s = 0.05
    await database.call([Query("CREATE TABLE t (n)")])
    for n in range(20):  # some calls come while the threads of before are leaving
        await database.call([Query("INSERT INTO t VALUES (?)", (float(n),)), Query("SELECT n FROM t")])
        await asyncio.sleep(0.02 * (n % 5))
    async with asyncio.timeout(10):
        while [file.name for file in database.folder.iterdir()] != [database.path.name]:
            await asyncio.sleep(0.01)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("d1 ")]
    [updated, counted] = (await database.call([Query("UPDATE t SET n = 0"), Query("SELECT count(*) FROM t")])).outcomes
    assert (updated.changes, updated.last_row_id, counted.rows[-1]) == (20, 20, 20)
    await database.aclose()


async def test_a_database_that_another_program_holds(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        await ask("await db.exec('CREATE TABLE t (a)')")
        connection = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(ask("return (await db.exec('INSERT INTO t VALUES (1)')).count"))
        assert await ask("return await db.prepare('SELECT a FROM t').raw()") == []  # reading waits for nobody
        connection.execute("COMMIT")
        assert await waiting == 1
        connection.execute("BEGIN IMMEDIATE")
        assert await ask("return await caught(db.exec('INSERT INTO t VALUES (2)'))") == (
            "D1_EXEC_ERROR: Error in line 1: INSERT INTO t VALUES (2): database is locked: SQLITE_BUSY"
        )
        connection.close()
        assert await ask("return (await db.exec('INSERT INTO t VALUES (3)')).count") == 1


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be one" * 20, b"SQLite format 3\0" + b"\xff" * 4096]
)
async def test_a_broken_file_is_named(start_pilot: StartPilot, tmp_path: Path, content: bytes) -> None:
    file = project(tmp_path) / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    async with database(start_pilot, tmp_path) as ask:
        assert await ask("return await caught(db.prepare('SELECT 1').run())") == (
            "D1_ERROR: file is not a database: SQLITE_NOTADB"
        )
        assert file.read_bytes() == content
