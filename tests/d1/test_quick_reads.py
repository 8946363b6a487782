"""Reads that the supervisor's loop does by itself: plain ones, for a millisecond at most."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bindings.d1.database import Answer, Database, Query
from bindings.d1.sql import limits

pytestmark = [pytest.mark.unit, pytest.mark.asyncio]
LONG = "x" * (limits.QUICK_LENGTH_BYTES + 1)
FIND = "SELECT name FROM people WHERE id = ?"


class Watched(Database):
    """Counts what it has threads read."""

    asked = 0

    async def read(self, work: Callable[[Any], Any]) -> Any:
        self.asked += 1
        return await super().read(work)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Watched]:
    database = Watched(tmp_path / "people")
    await database.call([Query("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")])
    await database.call([Query("INSERT INTO people VALUES (1, 'Ada'), (2, ?)", [LONG])])
    await database.call([Query("SELECT 1")])  # a thread opens the loop's connection
    database.asked = 0
    yield database
    await database.aclose()


def names(answer: Answer) -> list[Any]:
    return [row[0] for row in msgspec.msgpack.decode(answer.outcomes[-1].rows)]


async def test_a_plain_read_needs_no_thread_and_sees_every_write(database: Watched) -> None:
    for name in ("Grace", "Barbara"):
        await database.call([Query("UPDATE people SET name = ? WHERE id = 1", [name])])
        answer = await database.call([Query(FIND, [1.0])])
        assert names(answer) == [name]
        assert answer.outcomes[-1].rows_read == 1
    assert not database.asked


async def test_its_size_is_that_of_the_moment(database: Watched) -> None:
    before = (await database.call([Query(FIND, [1.0])])).size
    written = await database.call([Query("INSERT INTO people (name) VALUES (?), (?)", [LONG, LONG])])
    assert (await database.call([Query(FIND, [1.0])])).size == written.size > before


@pytest.mark.parametrize("sql", [
    "SELECT count(*) FROM people",  # one step of SQLite's, however many rows there are
    "SELECT hex(zeroblob(1000))",
    "SELECT name FROM people WHERE name LIKE '%a%'",
    "SELECT name FROM people WHERE name GLOB '*a*'",
    "SELECT value FROM json_each('[1]')",
    "SELECT name FROM pragma_table_info('people')",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 2) SELECT n FROM r",
    f"SELECT 1{' ' * limits.QUICK_SQL_CHARS}",
    "SELECT name FROM people WHERE id = 2",
])  # fmt: skip
async def test_what_may_take_long_is_for_a_thread(database: Watched, sql: str) -> None:
    for asked in (1, 2):
        assert names(await database.call([Query(sql)]))
        assert database.asked == asked


async def test_what_takes_long_holds_the_loop_up_once(database: Watched) -> None:
    counted = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 300) SELECT n FROM r"
    await database.call([Query(f"CREATE TABLE n AS {counted}")])
    slow = Query("SELECT a.n FROM n a, n b, n c WHERE a.n + b.n + c.n = 900")
    began = time.thread_time()
    assert database._look_at_once([slow]) is None
    assert time.thread_time() - began < 0.5  # all of it takes seconds
    assert names(await database.call([slow])) == [300]
    assert database.asked == 1
    assert slow.sql in database._long


async def test_a_failure_is_told_as_ever(database: Watched) -> None:
    with pytest.raises(Exception, match="no such table: nobody: SQLITE_ERROR"):
        await database.call([Query("SELECT name FROM nobody")])
    assert names(await database.call([Query(FIND, [1.0])])) == ["Ada"]
