"""A worker that hangs is named, with the place; see also test_slow_imports.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

ENTRY = (
    ROUTER
    + """
import asyncio, os, re, threading, time
from workers import Response

def deeper():
    while True:  # spinning
        pass

async def spin():
    deeper()

async def regex():
    re.match(r"(a+)+$", "a" * 50 + "b")

async def deadlock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()  # locked

async def nap():
    time.sleep(600)

def hold():
    re.match(r"(a+)+$", "a" * 50 + "b")  # and the interpreter's lock with it

async def thread():
    await asyncio.to_thread(time.sleep, 0.1)  # begins the thread
    await asyncio.to_thread(hold)

async def brief():
    time.sleep(4)
    return Response("awake")

async def index():
    return Response(str(os.getpid()))
"""
)
THREADED = """
import time
from workers import Response

def fetch():
    until = time.monotonic() + 4
    while time.monotonic() < until:
        pass
    return Response("crunched")
"""
WAIT = """
from pathlib import Path
import time
while not Path({!r}).exists():
    time.sleep(0.05)
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("worker é")
    write(folder, ENTRY)
    async with serving(folder) as pilot:
        yield pilot


@pytest_asyncio.fixture(loop_scope="module")
async def pilot(shared: Served) -> Served:
    await shared.save(ENTRY)
    shared.events.clear()
    return shared


async def gone(pid: int, within: float = 20) -> None:
    async with asyncio.timeout(within):
        while psutil.pid_exists(pid):
            await asyncio.sleep(0.05)


async def given_up(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(("path", "function", "line"), [
    ("spin", "deeper", ""), ("regex", "regex", "re.match"), ("deadlock", "deadlock", "lock.acquire()  # locked"),
    ("nap", "nap", "time.sleep(600)"), ("thread", "hold", "re.match"),
])  # fmt: skip
async def test_one_that_hangs_is_named_and_ends_with_its_last_client(
    pilot: Served, path: str, function: str, line: str
) -> None:
    pid = int((await pilot.ask())[1])
    first = asyncio.create_task(pilot.ask(f"/{path}"))
    await asyncio.sleep(0.5)
    second = asyncio.create_task(pilot.ask("/"))
    said = await pilot.event("blocked")
    assert said["level"] == "warning"
    assert said["where"].startswith("entry.py, line ")
    assert said["where"].endswith(f", in {function}")
    assert line in said["trace"]
    assert "runtime/" not in said["trace"]
    assert said["waiting"][0] == f"GET /{path}"
    assert await pilot.save(ENTRY)
    assert int((await pilot.ask())[1]) != pid  # the new version answers
    assert psutil.pid_exists(pid)  # somebody still waits for the old one
    await given_up(first, second)
    await gone(pid)


async def test_one_that_nobody_waits_for_ends_when_it_is_mended(pilot: Served) -> None:
    pid = int((await pilot.ask())[1])
    hanging = asyncio.create_task(pilot.ask("/spin"))
    await pilot.event("blocked")
    await given_up(hanging)
    assert psutil.pid_exists(pid)
    assert await pilot.save(ENTRY)
    await gone(pid)


async def test_one_that_comes_back_is_said_to(pilot: Served) -> None:
    assert await pilot.ask("/brief") == (200, "awake")
    assert (await pilot.event("blocked"))["where"].endswith(", in brief")
    await pilot.says("turns again")
    assert (await pilot.ask())[0] == 200


async def test_a_thread_that_computes_is_not_accused(pilot: Served) -> None:
    assert await pilot.save(THREADED)
    assert await pilot.ask() == (200, "crunched")
    assert not [line for line in pilot.events if line["event"] == "blocked"], pilot.log()


async def test_a_slow_import_of_a_reload(pilot: Served, tmp_path: Path) -> None:
    go, since = tmp_path / "go", len(pilot.events)
    pid = (await pilot.ask())[1]
    (pilot.folder / "entry.py").write_text(WAIT.format(str(go)) + ENTRY)
    line = await pilot.event("importing", since=since)
    assert line["what"].startswith("entry.py, line ")
    assert "url" not in line
    assert await pilot.ask() == (200, pid)  # the old code
    go.touch()
    await pilot.event("reloaded", since=since)
    assert (await pilot.ask())[1] != pid
