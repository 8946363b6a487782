"""CPU time of a request, wherever its code spends it: steps, loops, tasks, threads and bodies end at ``cpu_ms``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from hosting import Host, hosting, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
ENTRY = """
import _thread, asyncio, hashlib, os, signal, threading, time
from concurrent.futures import ThreadPoolExecutor
from workers import Response, URL

def burn():
    while True: pass

async def pausing():
    while True:
        sum(range(10_000)); await asyncio.sleep(0)

async def spin(ctx): burn()

async def swallow(ctx):
    while True:
        try: sum(range(100_000))
        except Exception: pass

async def to_threads(ctx): await asyncio.gather(*(asyncio.to_thread(burn) for _ in range(3)))

async def pool(ctx):
    with ThreadPoolExecutor(2) as mine: await asyncio.wrap_future(mine.submit(burn))

async def thread(ctx):
    threading.Thread(target=burn).start(); await asyncio.sleep(60)

async def tasks(ctx): await asyncio.gather(pausing(), pausing())

async def task(ctx): await asyncio.create_task(spin(ctx))

async def deep(ctx): await asyncio.to_thread(hashlib.pbkdf2_hmac, "sha256", b"a", b"b", 1 << 30)

async def defiant(ctx):
    signal.setitimer(signal.ITIMER_PROF, 0); _thread.start_new_thread(burn, ()); await asyncio.sleep(60)

async def later(ctx): threading.Thread(target=burn, name="burner").start()

async def burners(ctx): return Response(str(sum(one.name == "burner" for one in threading.enumerate())))

async def body(ctx):
    async def chunks():
        yield "begun"
        while True:
            sum(range(10_000)); await asyncio.sleep(0)
    return Response(chunks())

async def waits(ctx):
    await asyncio.sleep(2)
    return Response("waited")

async def fetch(request, env, ctx):
    path = URL(request.url).pathname[1:]
    return (await globals()[path](ctx) if path else None) or Response(str(os.getpid()))
"""
PLAIN = """
import time
from workers import Response, URL

def fetch(request):
    if "burn" in request.url:
        while True: pass
    if "waits" in request.url: time.sleep(2)
    return Response("plain")
"""
ASKS = """
import asyncio
from workers import Response, URL

told = []

async def ask(env, times):
    try:
        for _ in range(times): await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "a"})
        told.append("all of them")
    except Exception as error: told.append(str(error))

async def fetch(request, env, ctx):
    if "told" in request.url: return Response(" and ".join(told))
    before, after = map(int, URL(request.url).pathname[1:].split("/"))
    await ask(env, before)
    async def later():
        await asyncio.sleep(0.1); await ask(env, after)
    ctx.waitUntil(later())
    return Response("asked")
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("cpu")
    limits = ("cpu_ms=300", "stall_s=60", "subrequests=5")
    async with hosting(folder / "data", "--isolates", "1", *(f"--limit={limit}" for limit in limits)) as running:
        await running.deploy(worker(folder / "app", ENTRY))
        await running.deploy(worker(folder / "plain", PLAIN, name="plain"))
        await running.deploy(worker(folder / "asks", ASKS, '[ai]\nbinding = "AI"\n', name="asks"))
        yield running


async def pid(host: Host) -> str:
    """Of the isolate; once there is one again."""
    async with asyncio.timeout(30):
        while (found := await host.get("app"))[0] != 200:
            await asyncio.sleep(0.05)
    return found[1]


@pytest.mark.parametrize("what", ["spin", "swallow", "to_threads", "pool", "thread", "tasks", "task"])
async def test_it_ends_and_what_is_beside_it_goes_on(host: Host, what: str) -> None:
    before, beside = await pid(host), asyncio.create_task(host.get("app", "/waits"))
    status, text = await host.get("app", f"/{what}")
    assert (status, "1102" in text) == (503, True), text
    assert await beside == (200, "waited")
    assert await pid(host) == before


async def test_a_plain_function(host: Host) -> None:
    beside = asyncio.create_task(host.get("plain", "/waits"))
    for _ in range(3):
        status, text = await host.get("plain", "/burn")
        assert (status, "1102" in text) == (503, True), text
    assert await beside == (200, "plain")


async def test_a_thread_that_goes_on_after_the_answer(host: Host) -> None:
    before = await pid(host)
    assert (await host.get("app", "/later"))[0] == 200
    async with asyncio.timeout(30):
        while (await host.get("app", "/burners"))[1] != "0":
            await asyncio.sleep(0.05)
    assert await pid(host) == before


async def test_a_body(host: Host) -> None:
    async with host.http.get(f"{host.url}/_w/app/body") as response:
        assert await response.content.readany() == b"begun"
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()


@pytest.mark.parametrize("what", ["deep", "defiant"])
async def test_what_does_not_end_takes_its_process_with_it(host: Host, what: str) -> None:
    since, before = len(host.events), await pid(host)
    status, text = await host.get("app", f"/{what}")
    assert (status, "1102" in text) == (503, True), text
    await host.says("goes on after 300 ms of CPU time", since=since, within=30)
    async with asyncio.timeout(30):
        while await pid(host) == before:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("before", "after"), [(0, 9), (4, 2), (5, 1)])
async def test_subrequests_count_on_in_wait_until(host: Host, before: int, after: int) -> None:
    _, already = await host.get("asks", "/told")
    assert await host.get("asks", f"/{before}/{after}") == (200, "asked")
    told = ""
    async with asyncio.timeout(30):
        while told.count("all of them") + told.count("too many") < 2:
            await asyncio.sleep(0.05)
            told = (await host.get("asks", "/told"))[1].removeprefix(already)
    assert "too many subrequests" in told
