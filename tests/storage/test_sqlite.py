"""A SQLite file under many writers: what is acknowledged, what fails, who waits for whom."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from bindings.sqlite import Database, StoreError
from bindings.storage.wal import COMMITS_UNTIL_FULL_SIZE, WAL_BYTES

pytestmark = pytest.mark.unit
STEPS = ["CREATE TABLE numbers (number INTEGER PRIMARY KEY)"]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(tmp_path / "a" / "numbers.sqlite", STEPS, durable=True)
    yield made
    await made.aclose()


def add(number: int) -> object:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers VALUES (?)", (number,))
        return number

    return work


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def elsewhere(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return numbers(connection)


async def test_what_waits_shares_a_transaction(database: Database) -> None:
    commits: list[int] = []

    def watch(connection: sqlite3.Connection) -> None:
        connection.set_trace_callback(lambda sql: commits.append(1) if sql == "COMMIT" else None)

    await database.do(watch)
    assert await asyncio.gather(*(database.do(add(number)) for number in range(500))) == list(range(500))
    assert elsewhere(database.path) == list(range(500))
    assert len(commits) < 10


async def test_one_that_fails_undoes_itself_alone(database: Database) -> None:
    def both(connection: sqlite3.Connection) -> None:
        add(2)(connection)
        add(1)(connection)

    def refuse(connection: sqlite3.Connection) -> None:
        add(7)(connection)
        raise KeyError("seven")

    works = [database.do(work) for work in (add(1), both, refuse, add(3))]
    found = await asyncio.gather(*works, return_exceptions=True)
    assert [type(item) for item in found] == [int, StoreError, KeyError, int]
    assert "UNIQUE constraint failed" in str(found[1])
    assert elsewhere(database.path) == [1, 3]


async def test_a_transaction_that_fails_fails_for_all(database: Database) -> None:
    def undo_everything(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")  # as SQLite does when the disk is full
        raise sqlite3.OperationalError("database or disk is full")

    found = await asyncio.gather(*map(database.do, (add(1), undo_everything, add(2))), return_exceptions=True)
    assert [str(item) for item in found] == ["numbers.sqlite: database or disk is full"] * 3
    assert await database.do(add(4)) == 4
    assert elsewhere(database.path) == [4]


async def test_reading_waits_for_no_writer(database: Database) -> None:
    await database.do(add(1))
    assert await database.read(numbers) == [1]
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        add(2)(connection)
        begun.set()
        assert go_on.wait(30)

    writing = database.do(slow)
    await asyncio.to_thread(begun.wait, 30)
    assert await database.read(numbers) == [1]
    go_on.set()
    await writing
    assert await database.read(numbers) == [1, 2]


async def test_reading_changes_nothing(database: Database) -> None:
    with pytest.raises(StoreError, match="UNIQUE"):
        await database.read(lambda connection: [add(1)(connection), add(1)(connection)])
    assert await database.read(numbers) == []


async def test_work_is_done_although_nobody_waits(database: Database) -> None:
    waiting = asyncio.ensure_future(database.do(add(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    await database.aclose()
    assert elsewhere(database.path) == [1]
    with pytest.raises(StoreError, match="closed"):
        await database.do(add(2))


async def test_another_process_is_seen(database: Database) -> None:
    assert await database.read(numbers) == []
    with closing(sqlite3.connect(database.path)) as connection, connection:
        add(5)(connection)
    assert await database.read(numbers) == [5]


async def test_a_file_that_is_written_to_often_keeps_its_log_at_full_size(database: Database) -> None:
    log = Path(f"{database.path}-wal")

    async def add_one_by_one(first: int, count: int) -> None:
        for number in range(first, first + count):
            await database.do(add(number))

    await add_one_by_one(0, COMMITS_UNTIL_FULL_SIZE - 2)
    assert log.stat().st_size < WAL_BYTES / 8
    before = database.path.stat().st_size
    await add_one_by_one(100, 10)
    size = log.stat().st_size
    assert 0.9 * WAL_BYTES < size < 1.1 * WAL_BYTES
    await add_one_by_one(200, 100)
    assert log.stat().st_size == size
    assert database.path.stat().st_size == before  # nothing of it is in the database
    assert len(elsewhere(database.path)) == COMMITS_UNTIL_FULL_SIZE - 2 + 110
    assert await database.read(lambda to: to.execute("SELECT name FROM sqlite_schema").fetchall()) == [("numbers",)]
