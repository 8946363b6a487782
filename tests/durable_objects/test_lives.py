"""An object's life: one instance at a time, over reloads, evictions, crashes and processes that come back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

CONFIG = """
[[durable_objects.bindings]]
name = "COUNTERS"
class_name = "Counter"
[pilot]
object_idle = 0.4
"""
WORKER = """
import asyncio, os, time
from workers import DurableObject, Response, WorkerEntrypoint

VERSION = 1

class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.seen = 0

    async def add(self, by=1):
        self.seen += 1
        value = (await self.ctx.storage.get("value") or 0) + by
        await self.ctx.storage.put("value", value)
        return [value, self.seen, VERSION, os.getpid()]

    async def slow(self):
        await asyncio.sleep(0.5)
        return await self.add()

    async def dies(self):
        os._exit(3)

    async def blocks(self):
        while True:
            pass

    async def ring(self, ms):
        await self.ctx.storage.setAlarm(time.time() * 1000 + ms)

    async def alarm(self):
        await self.ctx.storage.put("rang", (await self.ctx.storage.get("rang") or 0) + 1)

    async def rang(self):
        return [await self.ctx.storage.get("rang") or 0]

async def on(env, request, method, *args):
    try:
        return Response.json(await getattr(env.COUNTERS.getByName(request.headers["x-name"]), method)(*args))
    except Exception as error:
        found = [str(error), getattr(error, "retryable", False), getattr(error, "durableObjectReset", False)]
        return Response.json(found, status=500)

async def add(request, env): return await on(env, request, "add")
async def slow(request, env): return await on(env, request, "slow")
async def dies(request, env): return await on(env, request, "dies")
async def ring(request, env): return await on(env, request, "ring", 1500)
async def rang(request, env): return await on(env, request, "rang")
""" + ROUTER  # fmt: skip
LATER = WORKER.replace("VERSION = 1", "VERSION = 2")
# Another process has the object's file, as one that a supervisor has begun would.
TAKER = """
import asyncio, sys
from pathlib import Path
from bindings.durable_objects.storage import entries
from bindings.durable_objects.storage.file import ObjectFile

async def take():
    file = ObjectFile(Path(sys.argv[1]), None, None)
    entries.put(file, "value", 100)
    await file.aclose()

asyncio.run(take())
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("lives")
    write(folder, WORKER, CONFIG)
    async with serving(folder) as running:
        yield running


async def ask(pilot: Served, path: str, name: str, status: int = 200) -> list[object]:
    async with pilot.http.get(f"{pilot.url}/{path}", headers={"x-name": name}) as response:
        text = await response.text()
        assert response.status == status, text
        return await response.json()


async def test_an_object_at_rest_leaves_memory_and_comes_back(pilot: Served) -> None:
    assert (await ask(pilot, "add", "rests"))[:2] == [1, 1]
    logs = set(pilot.folder.glob(".pilot/state/durable_objects/*/*.sqlite-wal"))
    async with asyncio.timeout(20):
        while set(pilot.folder.glob(".pilot/state/durable_objects/*/*.sqlite-wal")) & logs:
            await asyncio.sleep(0.05)
    assert (await ask(pilot, "add", "rests"))[:2] == [2, 1]


async def test_a_save_restarts_every_object_once_what_goes_on_is_done(pilot: Served) -> None:
    value, seen, version, before = await ask(pilot, "add", "saved")
    assert (value, seen, version) == (1, 1, 1)
    going_on = asyncio.create_task(ask(pilot, "slow", "saved"))
    await asyncio.sleep(0.1)
    assert await pilot.save(LATER)
    after = await ask(pilot, "add", "saved")
    assert (await going_on)[:1] + (await going_on)[2:] == [2, 1, before]
    assert after[:3] == [3, 1, 2]
    assert after[3] != before
    assert not Path(f"/proc/{before}").exists()


async def test_a_process_that_dies_takes_memory_along_and_nothing_else(pilot: Served) -> None:
    assert (await ask(pilot, "add", "dies"))[:2] == [1, 1]
    text, retryable, reset = await ask(pilot, "dies", "dies", 500)
    assert (text, retryable, reset) == ("Error: Network connection lost.", True, True)
    assert (await ask(pilot, "add", "dies"))[:2] == [2, 1]


async def test_a_process_that_comes_back_can_write_no_more(pilot: Served) -> None:
    """It is stopped, another one begins, it goes on: its write fails, and what the other has written stands."""
    before = _files(pilot)
    _, _, _, pid = await ask(pilot, "add", "stale")
    assert isinstance(pid, int)
    [file] = _files(pilot) - before
    writing = asyncio.create_task(ask(pilot, "slow", "stale", 500))
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGSTOP)
    try:
        taking = await asyncio.create_subprocess_exec(sys.executable, "-c", TAKER, str(file))
        assert await taking.wait() == 0
    finally:
        os.kill(pid, signal.SIGCONT)
    text, _, reset = await writing
    assert "taken over by a newer process" in str(text)
    assert reset is True
    assert (await ask(pilot, "add", "stale"))[:2] == [101, 1]


def _files(pilot: Served) -> set[Path]:
    return set(pilot.folder.glob(".pilot/state/durable_objects/*/*.sqlite"))


async def test_an_alarm_outlives_the_server(tmp_path: Path) -> None:
    write(tmp_path, WORKER, CONFIG)
    async with serving(tmp_path) as first:
        await ask(first, "ring", "alarm")
        first.process.kill()
        await first.process.wait()
    async with serving(tmp_path) as second, asyncio.timeout(30):
        while await ask(second, "rang", "alarm") != [1]:
            await asyncio.sleep(0.05)
