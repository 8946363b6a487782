"""Whatever a worker does harms itself alone, and what it says reaches the log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = (
    ROUTER
    + """
import asyncio, ctypes, logging, os, resource, signal, subprocess, sys, threading, time, warnings
from workers import Response

def pid(): return Response(str(os.getpid()))
def exits(): os._exit(7)
async def exits_in_a_task():
    asyncio.get_running_loop().call_soon(sys.exit, 4)
    await asyncio.sleep(5)
def segfaults():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)
def killed(): os.kill(os.getpid(), signal.SIGKILL)
def recurses(): return recurses()
def closes():
    os.closerange(3, 100)
    return Response("x")
async def half():
    async def chunks():
        yield "some"
        await asyncio.sleep(0.1)
        os._exit(9)
    return Response(chunks())
async def waits():
    await asyncio.sleep(1)
    return Response("waited")
async def streams(env):
    return await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "a b c d e f g h", "stream": True})
async def blocks(env):
    open(env.PIPE).read()
    return Response("blocked")

def prints():
    print("plain")
    print("to stderr", file=sys.stderr)
    print("two\\nlines")
    print("a", end=""); print("b", end=""); print("c")
    print("snow \\u2603 and \\udcff")
    sys.stdout.write("written\\n")
    os.write(1, b"fd one\\n"); os.write(2, b"fd two \\xff\\n")
    logging.warning("logged")
    warnings.warn("warned")
    subprocess.run(["echo", "from a child"])
    return Response("x")
def much():
    for number in range(20_000): print(f"line {number}")
    print("x" * 1_000_000)
    print("much, done")
    return Response("x")
def partial():
    os.write(1, b"no end of line"); os._exit(1)
def thread():
    def work(): raise ValueError("in a thread")
    thread = threading.Thread(target=work); thread.start(); thread.join()
    return Response("x")
async def forgotten():
    async def work(): raise ValueError("in a task nobody awaits")
    asyncio.create_task(work())
    await asyncio.sleep(0.01)
    return Response("x")
def asks():
    try: return Response(input())
    except EOFError: return Response("no input")
def token(): return Response(str("PILOT_API_TOKEN" in os.environ))
"""
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("isolation")
    write(folder, WORKER, '[ai]\nbinding = "AI"\n')
    pipe = tmp_path_factory.mktemp("pipe") / "pipe"
    os.mkfifo(pipe)
    async with serving(folder, "--var", f"PIPE:{pipe}", env={"PILOT_API_TOKEN": "token"}) as served:
        served.pipe = pipe
        yield served


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("exits", "exit code 7"), ("exits_in_a_task", "exit code"), ("segfaults", "SIGSEGV"), ("killed", "SIGKILL"),
        ("recurses", "RecursionError"), ("closes", "the worker's process ended"),
    ],
)  # fmt: skip
async def test_the_end_of_an_isolate(pilot: Served, path: str, told: str) -> None:
    """Its request gets a clear error, and the next one a new process with the same code."""
    before = (await pilot.ask("/pid"))[1]
    status, text = await pilot.ask(f"/{path}")
    assert status == 500
    assert told in text, text
    status, after = await pilot.ask("/pid")
    assert status == 200
    assert (after == before) == (path == "recurses")


async def test_an_end_half_way_cuts_the_connection(pilot: Served) -> None:
    async with pilot.http.get(f"{pilot.url}/half") as response:
        assert await response.content.readany() == b"some"
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.content.read()
    assert (await pilot.ask("/pid"))[0] == 200


async def test_requests_in_flight_when_an_isolate_ends(pilot: Served) -> None:
    """Each gets an answer; those that come at once share one new process."""
    waiting = [asyncio.create_task(pilot.ask("/waits")) for _ in range(10)]
    await asyncio.sleep(0.1)
    assert (await pilot.ask("/exits"))[0] == 500
    assert {status for status, _ in await asyncio.gather(*waiting)} == {500}
    assert len({pid for _, pid in await asyncio.gather(*(pilot.ask("/pid") for _ in range(10)))}) == 1


async def test_a_blocking_worker_blocks_itself_alone(pilot: Served) -> None:
    """The REST routes and a reload go on, and the blocked request still gets its answer."""
    blocked = asyncio.create_task(pilot.ask("/blocks"))
    pipe = await asyncio.to_thread(pilot.pipe.open, "w")  # returns once the worker reads, blocked
    route = f"{pilot.url}/client/v4/accounts/me/ai/run/@cf/meta/llama-2-7b-chat-int8"
    headers = {"authorization": "Bearer token"}
    async with pilot.http.post(route, json={"prompt": "a b"}, headers=headers) as response:
        assert response.status == 200, await response.text()
    assert await pilot.save(WORKER + "\ndef fresh(): return Response('fresh')\n")
    assert await pilot.ask("/fresh") == (200, "fresh")
    assert not blocked.done()
    pipe.close()
    assert await blocked == (200, "blocked")


async def test_what_a_worker_says_is_passed_on(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/prints") == (200, "x")
    for stream, text in (
        ("stdout", "plain"), ("stderr", "to stderr"), ("stdout", "two"), ("stdout", "lines"), ("stdout", "abc"),
        ("stdout", "snow \u2603 and \\udcff"), ("stdout", "written"), ("stdout", "fd one"), ("stderr", "fd two \ufffd"),
        ("stdout", "from a child"),
    ):  # fmt: skip
        line = await pilot.event("output", since=since, stream=stream, text=text, within=20)
        assert line["worker"] == "test"
    for text in ("logged", "UserWarning: warned"):
        await pilot.says(text, since=since)


async def test_a_worker_that_says_much(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/much") == (200, "x")
    await pilot.event("output", since=since, text="much, done")
    said = [line["text"] for line in pilot.events[since:] if line["event"] == "output"]
    assert said[:20_000] == [f"line {number}" for number in range(20_000)]
    assert sum(text.count("x") for text in said[20_000:]) == 1_000_000


async def test_last_words_are_passed_on(pilot: Served) -> None:
    since = len(pilot.events)
    assert (await pilot.ask("/partial"))[0] == 500
    await pilot.event("output", since=since, text="no end of line", within=20)
    assert await pilot.ask("/thread") == (200, "x")
    await pilot.says("ValueError: in a thread", since=since)
    assert await pilot.ask("/forgotten") == (200, "x")
    await pilot.says("ValueError: in a task nobody awaits", since=since)


async def test_what_a_worker_is_not_given(pilot: Served) -> None:
    assert await pilot.ask("/asks") == (200, "no input")
    assert await pilot.ask("/token") == (200, "False")
    assert int((await pilot.ask("/pid"))[1]) != os.getpid()
