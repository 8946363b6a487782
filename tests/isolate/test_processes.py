"""What dies takes little with it, and what ends leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio

from families import ENGINE, ZYGOTE, running
from serving import ROUTER, Served, serving, write

ENTRY = (
    ROUTER
    + """
import asyncio, os, sys, time
from workers import Response

async def index():
    return Response("fine")

async def ai(env):
    return await env.AI.run("slow", {"prompt": "one two", "stream": True})

async def ai_whole(env):
    return Response(str(await env.AI.run("slow", {"prompt": "one two"})))

async def count():
    async def numbers():
        for number in range(20):
            yield f"{number}\\n"
            await asyncio.sleep(0.1)
    return Response(numbers())

async def nap():
    print("at work")
    await asyncio.sleep(60)
    return Response("rested")

async def later(ctx):
    async def task():
        await asyncio.sleep(0.5)
        print("task finished")
    ctx.waitUntil(task())
    return Response("later")

async def pid():
    return Response(str(os.getpid()))

async def block():
    print("at work")
    while True:
        pass

def block_a_thread():
    print("at work")
    time.sleep(60)

async def quit():
    os._exit(5)
"""
)
pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = '[ai]\nbinding = "AI"\n'
MODELS = {"models.yaml": "slow: {engine: echo, preload: true, options: {rate: 20, tokens: 40}}\n"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """For the tests that leave it as well as they found it."""
    folder = tmp_path_factory.mktemp("worker")
    write(folder, ENTRY, CONFIG, MODELS)
    async with serving(folder) as pilot:
        yield pilot


@pytest_asyncio.fixture(loop_scope="module")
async def mortal(tmp_path: Path) -> AsyncIterator[Served]:
    write(tmp_path, ENTRY, CONFIG, MODELS)
    async with serving(tmp_path, "--drain", "3") as pilot:
        yield pilot


def family(pilot: Served) -> list[psutil.Process]:
    return psutil.Process(pilot.process.pid).children(recursive=True)


def member(pilot: Served, module: str) -> psutil.Process:
    return running(pilot.process.pid, module, recursive=False)[0]


async def gone(processes: list[psutil.Process], within: float = 8) -> None:
    async with asyncio.timeout(within):
        while alive := [process for process in processes if _runs(process)]:
            await asyncio.sleep(0.05)
    assert not alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def begun(pilot: Served, path: str) -> aiohttp.ClientResponse:
    response = await pilot.http.get(pilot.url + path)
    assert response.status == 200
    await response.content.readany()
    return response


async def test_a_killed_isolate_costs_its_own_requests_only(pilot: Served) -> None:
    isolate = int((await pilot.ask("/pid"))[1])
    passed, counting = await begun(pilot, "/ai"), await begun(pilot, "/count")
    since = len(pilot.events)
    waiting = asyncio.create_task(pilot.ask("/nap"))
    await pilot.says("at work", since=since, within=60)
    os.kill(isolate, signal.SIGKILL)
    status, text = await waiting
    assert status == 500
    assert "killed by SIGKILL" in text
    with pytest.raises(aiohttp.ClientPayloadError):
        await counting.read()
    assert (await passed.read()).endswith(b"data: [DONE]\n\n")  # it never touched the isolate
    assert int((await pilot.ask("/pid"))[1]) != isolate


async def test_a_worker_that_ends_itself_is_started_again(pilot: Served) -> None:
    for _ in range(3):
        status, text = await pilot.ask("/quit")
        assert status == 500
        assert "exit code 5" in text
        assert await pilot.ask() == (200, "fine")


async def test_a_killed_zygote_is_replaced(pilot: Served) -> None:
    zygote = member(pilot, ZYGOTE)
    passed = await begun(pilot, "/ai")
    forks = zygote.children()
    zygote.kill()
    await gone([zygote, *forks])
    assert await pilot.ask() == (200, "fine")
    assert (await passed.read()).endswith(b"data: [DONE]\n\n")
    assert await pilot.save(ENTRY)
    assert await pilot.ask() == (200, "fine")
    assert member(pilot, ZYGOTE).pid != zygote.pid


async def test_a_zygote_that_dies_between_two_saves_is_not_missed(pilot: Served) -> None:
    for version in range(3):
        member(pilot, ZYGOTE).kill()
        assert await pilot.save(ENTRY + "\n" * version)
        assert await pilot.ask() == (200, "fine")


async def test_a_killed_engine_ends_its_streams_with_an_error_and_comes_back(pilot: Served) -> None:
    passed, counting = await begun(pilot, "/ai"), await begun(pilot, "/count")
    whole = asyncio.create_task(pilot.ask("/ai_whole"))
    await asyncio.sleep(0.2)
    member(pilot, ENGINE).kill()
    rest = (await passed.read()).decode()
    assert "being restarted" in rest
    status, text = await whole
    assert status == 500
    assert "being restarted" in text
    assert (await counting.read()).endswith(b"19\n")
    status, text = await pilot.ask("/ai")
    assert status == 200
    assert text.endswith("data: [DONE]\n\n")


async def _ask(pilot: Served, path: str) -> None:
    with suppress(aiohttp.ClientError):
        await pilot.ask(path)


@pytest.mark.parametrize(("spawn", "busy"), [
    ("fork", "/"), ("fork", "/block"), ("process", "/block"), ("process", "/block_a_thread"),
])  # fmt: skip
async def test_a_killed_supervisor_leaves_no_orphan(tmp_path: Path, spawn: str, busy: str) -> None:
    write(tmp_path, ENTRY, CONFIG, MODELS)
    async with serving(tmp_path, env={"PILOT_SPAWN": spawn}) as pilot:
        assert (await pilot.ask("/ai"))[0] == 200
        asking = asyncio.create_task(_ask(pilot, busy))
        await asyncio.sleep(0.3)
        children = family(pilot)
        assert len(children) >= 2
        pilot.process.kill()
        await gone(children)
        await asking


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_lets_what_is_in_flight_finish(mortal: Served, number: signal.Signals) -> None:
    assert (await mortal.ask("/later"))[0] == 200
    passed, counting, children = await begun(mortal, "/ai"), await begun(mortal, "/count"), family(mortal)
    assert len(children) == 3
    mortal.process.send_signal(number)
    line = await mortal.event("stopping", reason=number.name, seconds=3)
    assert sorted(line["waiting"]) == ["GET /ai", "GET /count"]
    if number == signal.SIGHUP:
        mortal.process.send_signal(number)  # a terminal that closes sends it, and its shell once more
    await asyncio.sleep(0.2)
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as fresh:
            await fresh.get(mortal.url)
    assert (await passed.read()).endswith(b"data: [DONE]\n\n")
    assert (await counting.read()).endswith(b"19\n")
    assert await mortal.process.wait() == 0
    await mortal.event("output", text="task finished")
    await gone(children, within=20)


@pytest.mark.parametrize("path", ["/nap", "/block", "/block_a_thread"])
async def test_what_takes_longer_than_the_drain_is_cut(tmp_path: Path, path: str) -> None:
    write(tmp_path, ENTRY, CONFIG, MODELS)
    async with serving(tmp_path, "--drain", "1") as pilot:
        asking = asyncio.create_task(_ask(pilot, path))
        await pilot.says("at work", within=60)
        children, began = family(pilot), time.monotonic()
        assert await pilot.stop(signal.SIGINT) == 0
        assert time.monotonic() - began > 0.8
        assert (await pilot.event("request", path=path))["note"] == "broke off"
        await asking
        await gone(children, within=20)


async def test_a_second_signal_ends_at_once(mortal: Served) -> None:
    asking = asyncio.create_task(_ask(mortal, "/block"))
    await mortal.says("at work", within=60)
    children = family(mortal)
    mortal.process.send_signal(signal.SIGINT)
    await mortal.event("stopping")
    mortal.process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        assert await mortal.process.wait() == 130
    await asking
    await gone(children)


async def test_work_after_answers_is_said_to_be_awaited(mortal: Served) -> None:
    entry = ENTRY.replace("asyncio.sleep(0.5)", "asyncio.sleep(2)")
    assert await mortal.save(entry)
    assert (await mortal.ask("/later"))[0] == 200
    assert await mortal.stop(signal.SIGINT) == 0
    assert (await mortal.event("stopping"))["waiting"] == []
    await mortal.says("ctx.wait_until")
    await mortal.event("output", text="task finished")


async def test_nohup_is_respected(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG, MODELS)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with serving(tmp_path) as pilot:
            pilot.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.5)
            assert await pilot.ask() == (200, "fine")
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_tasks_that_outlast_the_drain_are_cut(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG, MODELS)
    async with serving(tmp_path, "--drain", "0") as pilot:
        assert (await pilot.ask("/later"))[0] == 200
        children = family(pilot)
        assert await pilot.stop() == 0
        assert not [line for line in pilot.events if line.get("text") == "task finished"]
        await gone(children, within=20)


async def test_without_fork(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG, MODELS)
    async with serving(tmp_path, env={"PILOT_SPAWN": "process"}) as pilot:
        assert await pilot.ask() == (200, "fine")
        stream = await begun(pilot, "/count")
        for version in range(3):
            assert await pilot.save(ENTRY.replace('"fine"', f'"{version}"'))
            assert await pilot.ask() == (200, str(version))
        assert (await stream.read()).endswith(b"19\n")
        status, text = await pilot.ask("/quit")
        assert status == 500
        assert "exit code 5" in text
        assert await pilot.ask() == (200, "2")
        assert (await pilot.ask("/ai"))[1].endswith("data: [DONE]\n\n")
        children = family(pilot)
    await gone(children, within=20)


PACKAGE = """
import time
time.sleep(0.5)
print("imported slowly")
VALUE = "vendored"
{}
"""
VENDORED = (
    ROUTER
    + """
import slow_package
from workers import Response

async def index():
    return Response(slow_package.VALUE)
"""
)


@pytest.mark.parametrize(("more", "warm"), [
    ("", True), ("import threading\nthreading.Thread(target=time.sleep, args=[60], daemon=True).start()", False),
])  # fmt: skip
async def test_third_party_packages_are_imported_once_where_that_is_safe(tmp_path: Path, more: str, warm: bool) -> None:
    write(tmp_path, VENDORED, files={"python_modules/slow_package/__init__.py": PACKAGE.format(more)})
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "vendored")
        zygote = member(pilot, ZYGOTE).pid
        await asyncio.sleep(1.5)  # tried in a fork, then imported
        took = []
        for number in range(3):
            assert await pilot.save(VENDORED + "\n" * (number + 1))
            took.append([line["ms"] for line in pilot.events if line["event"] == "reloaded"][-1])
            assert await pilot.ask() == (200, "vendored")
        assert (min(took) < 400) is warm, took
        assert member(pilot, ZYGOTE).pid == zygote
