"""Calls whose caller does not wait for the answer: whatever was lent with them, or with their answers, is let go of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUNDS = 130
CALLER = """
import asyncio, gc
from workers import URL, Response, WorkerEntrypoint

def lent(binding):
    gc.collect()
    return len(binding._line.loans._lent)

async def cancelled(work, turns):
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0.0001 * turns)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        callee, path = getattr(self.env, URL(request.url).searchParams["of"]), URL(request.url).pathname
        if path == "/pid":
            return Response(str(await callee.pid()))
        if path == "/storm":
            held = await callee.gives(print)
            for number in range(ROUNDS):
                await cancelled(callee.gives(lambda: 1), number % 13)
                await cancelled(held(lambda: 1), number % 13)
            held.dispose()
        return Response(f"{lent(self.env.CALLEE)} {await callee.lent()}")
""".replace("ROUNDS", str(ROUNDS))
CALLEE = """
import gc, os
from workers import DurableObject, WorkerEntrypoint

def gives(_):
    return gives

class Lends:
    async def lent(self):
        gc.collect()
        return len(self.ctx.exports.default._line.loans._lent)

    async def pid(self):
        return os.getpid()

class Default(Lends, WorkerEntrypoint):
    async def gives(self, _):
        return gives

class Object(Lends, DurableObject):
    async def gives(self, _):
        self.ctx.storage.kv.put("key", "value")
        return gives
"""
SERVICE = """
[[services]]
binding = "CALLEE"
service = "callee"
[[durable_objects.bindings]]
name = "OBJECTS"
class_name = "Object"
script_name = "callee"
"""
OBJECTS = '[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Object"]\n'
NAMED = 'self.env, URL(request.url).searchParams["of"]'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("cancelled")
    found = 'self.env.OBJECTS.getByName("one") if URL(request.url).searchParams["of"] == "OBJECTS" else self.env.CALLEE'
    for name, entry, config in (
        ("caller", CALLER.replace(f"getattr({NAMED})", found), SERVICE),
        ("callee", CALLEE, OBJECTS),
    ):
        write(folder / name, entry, config)
        file = folder / name / "wrangler.toml"
        file.write_text(file.read_text().replace('"test"', f'"{name}"'))
    async with serving(folder, "-c", "caller/wrangler.toml", "-c", "callee/wrangler.toml") as running:
        yield running


async def until_nothing_is_lent(pilot: Served, of: str) -> str:
    """What is lent, by the caller and by the callee, once it is nothing or some seconds have gone."""
    said = ""
    for _ in range(50):
        said = (await pilot.ask(f"/lent?of={of}"))[1]
        if said == "0 0":
            break
        await asyncio.sleep(0.1)
    return said


@pytest.mark.parametrize("of", ["CALLEE", "OBJECTS"])
async def test_nothing_is_lent_after_calls_that_were_cancelled(pilot: Served, of: str) -> None:
    assert (await pilot.ask(f"/storm?of={of}"))[0] == 200, pilot.log()
    assert await until_nothing_is_lent(pilot, of) == "0 0"


async def test_a_version_that_lent_something_to_calls_that_were_cancelled_retires(pilot: Served) -> None:
    """It waits for those that hold something of it: nobody does."""
    _, pid = await pilot.ask("/pid?of=CALLEE")
    await pilot.ask("/storm?of=CALLEE")
    (pilot.folder / "callee/entry.py").write_text(CALLEE + "\n# saved\n")
    async with asyncio.timeout(30):
        while psutil.pid_exists(int(pid)):
            await asyncio.sleep(0.05)
