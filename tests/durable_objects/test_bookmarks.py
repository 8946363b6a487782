"""Point-in-time recovery of an object: copies by bookmark, and going back to one when it is next constructed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENTRY = """
import json, os, time
from datetime import datetime, timedelta
from workers import URL, DurableObject, Response, WorkerEntrypoint

class Thing(DurableObject):
    async def write(self, value):
        self.ctx.storage.kv.put("value", value)
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS t (a)")
        self.ctx.storage.sql.exec("INSERT INTO t VALUES (?)", value)

    async def read(self):
        rows = self.ctx.storage.sql.exec("SELECT a FROM t").toArray() if self.ctx.storage.kv.get("value") else []
        return [self.ctx.storage.kv.get("value"), [row.a for row in rows]]

    async def ring_in(self, seconds):
        await self.ctx.storage.setAlarm(time.time() * 1000 + seconds * 1000)

    async def quiet(self):
        await self.ctx.storage.deleteAlarm()

    async def alarm(self):
        self.ctx.storage.kv.put("rang", True)

    async def rang(self):
        return self.ctx.storage.kv.get("rang")

    async def mark(self):
        return await self.ctx.storage.getCurrentBookmark()

    async def write_and_mark(self, value):
        await self.write(value)
        return await self.ctx.storage.getCurrentBookmark()

    async def at(self, ms):
        if ms < 0:
            return await self.ctx.storage.getBookmarkForTime(datetime.now() + timedelta(milliseconds=-ms))
        return await self.ctx.storage.getBookmarkForTime(ms)

    async def back(self, bookmark):
        return await self.ctx.storage.onNextSessionRestoreBookmark(bookmark)

    async def end(self):
        self.ctx.abort("to begin anew")

    async def within(self):
        async def work(txn):
            await self.ctx.storage.getCurrentBookmark()
        await self.ctx.storage.transaction(work)

    async def clear(self):
        await self.ctx.storage.deleteAll()

    async def many(self):
        return [await self.ctx.storage.getCurrentBookmark() for _ in range(25)]

    async def pid(self):
        return os.getpid()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        _, name, method = URL(request.url).pathname.split("/")
        args = json.loads(await request.text() or "[]")
        try:
            return Response(json.dumps(await getattr(self.env.THINGS.getByName(name), method)(*args)))
        except Exception as error:
            return Response(json.dumps(str(error).splitlines()[-1]), status=500)
"""
CONFIG = """
[[durable_objects.bindings]]
name = "THINGS"
class_name = "Thing"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Thing"]
"""


class Objects(Served):
    async def on(self, name: str, method: str, *args: Any) -> Any:
        _, text = await self.ask(f"/{name}/{method}", "POST", data=json.dumps(args))
        return json.loads(text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Objects]:
    folder = tmp_path_factory.mktemp("bookmarks")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as running:
        running.__class__ = Objects
        assert isinstance(running, Objects)
        yield running


async def test_an_object_goes_back_and_forth(pilot: Objects) -> None:
    first = await pilot.on("a", "write_and_mark", "one")
    await pilot.on("a", "write", "two")
    second = await pilot.on("a", "mark")
    assert first < second
    undo = await pilot.on("a", "back", first)
    assert undo > second
    assert await pilot.on("a", "read") == ["two", ["one", "two"]]  # until it is constructed anew
    assert "to begin anew" in await pilot.on("a", "end")
    assert await pilot.on("a", "read") == ["one", ["one"]]
    await pilot.on("a", "write", "other")
    await pilot.on("a", "end")
    assert await pilot.on("a", "read") == ["other", ["one", "other"]]  # once, not again and again
    await pilot.on("a", "back", undo)
    await pilot.on("a", "end")
    assert await pilot.on("a", "read") == ["two", ["one", "two"]]


async def test_what_was_deleted_comes_back(pilot: Objects) -> None:
    kept = await pilot.on("b", "write_and_mark", "kept")
    await pilot.on("b", "clear")
    assert await pilot.on("b", "read") == [None, []]
    await pilot.on("b", "back", kept)
    await pilot.on("b", "end")
    assert await pilot.on("b", "read") == ["kept", ["kept"]]


async def test_the_newest_copy_of_a_time_is_found(pilot: Objects) -> None:
    bookmark = await pilot.on("c", "mark")
    seconds = int(bookmark.split("-")[0], 16)
    assert await pilot.on("c", "at", (seconds + 2) * 1000) == bookmark
    assert await pilot.on("c", "at", -60_000) == bookmark
    said = await pilot.on("c", "at", (seconds - 60) * 1000)
    assert "no copy of this object is kept from before" in said


async def test_what_is_none_is_refused(pilot: Objects) -> None:
    theirs = await pilot.on("d", "mark")
    for bookmark in ("0", "../../alarms", theirs, "00000000-00000000-00000000-00000000000000000000000000000000"):
        assert f"no copy of this object is kept for {bookmark!r}" in await pilot.on("e", "back", bookmark)
    assert "within a transaction" in await pilot.on("d", "within")
    assert await pilot.on("d", "mark") > theirs  # and the object goes on


async def test_an_alarm_comes_back_and_rings(pilot: Objects) -> None:
    await pilot.on("f", "ring_in", 1.5)
    bookmark = await pilot.on("f", "mark")
    await pilot.on("f", "quiet")
    await pilot.on("f", "back", bookmark)
    await pilot.on("f", "end")
    async with asyncio.timeout(30):
        while await pilot.on("f", "rang") is not True:
            await asyncio.sleep(0.1)


async def test_twenty_copies_are_kept(pilot: Objects) -> None:
    made = await pilot.on("g", "many")
    assert made == sorted(set(made))
    assert "no copy of this object is kept" in await pilot.on("g", "back", made[4])
    assert await pilot.on("g", "back", made[10]) > made[-1]


async def test_a_kill_loses_nothing_of_it(pilot: Objects) -> None:
    first = await pilot.on("h", "write_and_mark", "one")
    await pilot.on("h", "write", "two")
    await pilot.on("h", "back", first)
    os.kill(await pilot.on("h", "pid"), signal.SIGKILL)
    async with asyncio.timeout(30):
        while (found := await pilot.on("h", "read")) != ["one", ["one"]]:
            assert "Network connection lost" in str(found) or "ended" in str(found), found
            await asyncio.sleep(0.05)


async def test_files_stay_in_write_ahead_mode(pilot: Objects) -> None:
    """A copy is one file; what took its place from one is as it was."""
    folder = next(path.parent for path in (pilot.folder / ".pilot/state").glob("**/durable_objects/*/about.json"))
    copies = list((folder / "snapshots").glob("*/*.sqlite"))
    assert copies
    assert {path.read_bytes()[18] for path in copies} == {1}
    assert {path.read_bytes()[18] for path in folder.glob("*.sqlite")} == {2}
    assert not [path for path in (folder / "snapshots").glob("*/.*") if path.is_file()]


async def test_listing_shows_no_copy(pilot: Objects, tmp_path: Path) -> None:
    url = f"{pilot.url}/client/v4/accounts/host/workers/durable_objects/namespaces/test-Thing/objects"
    async with pilot.http.get(url, headers={"authorization": "Bearer any"}) as response:
        found = (await response.json())["result"]
    assert {row["name"] for row in found} == set("abcdfgh") | {"e"} & {row["name"] for row in found}
