"""``run_sync`` and the timers, in workers: a plain function waits, and nobody else does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = """
import asyncio
import contextvars
import js
from js import crypto, setTimeout, setInterval, clearInterval, Promise, TextEncoder, Uint8Array, URLPattern
from js import HTMLRewriter
from pyodide.ffi import JsException, can_run_sync, run_sync, to_js
from workers import Response, fetch

variable = contextvars.ContextVar("variable", default="unset")
early = can_run_sync()

async def slow(value, seconds=0.05):
    await asyncio.sleep(seconds)
    return value

def deep(n):
    return run_sync(slow("deep")) if n == 0 else deep(n - 1)

def fails():
    async def raises():
        await asyncio.sleep(0)
        raise KeyError("inner")
    try:
        run_sync(raises())
    except KeyError as error:
        return repr(error)

def in_order():
    variable.set("kept")
    return [run_sync(slow(n, 0.001)) for n in range(5)] + [variable.get()]

async def forever():
    try:
        run_sync(asyncio.sleep(3600))
    finally:
        print("ended")

async def timed():
    seen = []
    number = setInterval(lambda word: seen.append(word), 2, "again")
    setTimeout(lambda: seen.append("once"), 1)
    await Promise.new(lambda resolve, reject: setTimeout(resolve, 30, None))
    clearInterval(number)
    await js.scheduler.wait(1)
    count = len(seen)
    await asyncio.sleep(0.02)
    return [seen[0] in ("once", "again"), "again" in seen, len(seen) == count, js.performance.now() > 0]

async def globals_():
    digest = await crypto.subtle.digest("SHA-256", TextEncoder.new().encode("x"))
    key = await crypto.subtle.importKey("raw", to_js(b"k"), to_js({"name": "HMAC", "hash": "SHA-256"}), False, ["sign"])
    signed = await crypto.subtle.sign("HMAC", key, to_js(b"m"))
    try:
        await crypto.subtle.digest("SHA-3", to_js(b""))
    except JsException as error:
        refused = error.name
    random = crypto.getRandomValues(Uint8Array.new(8))
    page = HTMLRewriter.new().on("p", {"element": lambda e: e.setInnerContent("new")}).transform(Response("<p>old</p>"))
    return [
        digest.to_bytes().hex()[:8], digest.byteLength, signed.to_py().nbytes, refused, len(random), any(random),
        URLPattern.new({"pathname": "/:a"}).exec("http://x/y").pathname.groups.a, await page.text(),
        await Promise.all([slow(1, 0), 2]), js.Array.from_(js.Map.new([["k", 1]]).keys()),
    ]

async def on_fetch(request, env, ctx):
    path = js.URL.new(request.url).pathname[1:]
    if path == "deep":
        return Response(deep(50))
    if path == "early":
        return Response(str(early))
    if path == "forever":
        await forever()
    if path == "task":
        async def inner():
            return deep(3)
        return Response(await asyncio.create_task(inner()))
    if path == "body":
        async def lines():
            for _ in range(2):
                yield deep(3)
        return Response(lines())
    if path == "later":
        async def later():
            print("later", deep(3))
        ctx.waitUntil(later())
        return Response("")
    if path == "callback":
        told = asyncio.get_running_loop().create_future()
        def called():
            try:
                run_sync(slow(1))
            except RuntimeError as error:
                told.set_result(str(error))
        asyncio.get_running_loop().call_soon(called)
        return Response(await told)
    made = {"fails": fails, "in_order": in_order, "timed": timed, "globals": globals_}[path]()
    return Response.json(await made if asyncio.iscoroutine(made) else made)
"""
LATE = """
import asyncio
from workers import Response

async def fetch(request, env, ctx):
    import adapter
    return Response(adapter.wait(asyncio.sleep(0.01, "late")))
"""
PLAIN = """
import asyncio
from pyodide.ffi import run_sync
from workers import Response

def fetch(request, env, ctx):
    return Response(run_sync(asyncio.sleep(0.01, "in a thread")))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("suspending")
    write(folder, ENTRY)
    async with serving(folder) as served:
        yield served


async def test_a_plain_function_waits_however_deep_it_is(pilot: Served) -> None:
    assert await pilot.ask("/deep") == (200, "deep")


async def test_many_wait_at_once(pilot: Served) -> None:
    began = time.monotonic()
    answers = await asyncio.gather(*(pilot.ask("/deep") for _ in range(40)))
    assert answers == [(200, "deep")] * 40
    assert time.monotonic() - began < 40 * 0.05, "one after the other"


async def test_it_raises_what_is_raised_and_keeps_context_variables(pilot: Served) -> None:
    assert await pilot.ask("/fails") == (200, "\"KeyError('inner')\"")
    assert await pilot.ask("/in_order") == (200, '[0,1,2,3,4,"kept"]')


async def test_where_nothing_can_wait_it_says_so(pilot: Served) -> None:
    assert await pilot.ask("/early") == (200, "False")
    status, text = await pilot.ask("/callback")
    assert (status, "only within a handler" in text) == (200, True), text


async def test_a_task_waits_too(pilot: Served) -> None:
    assert await pilot.ask("/task") == (200, "deep")


async def test_a_body_waits_too(pilot: Served) -> None:
    answers = await asyncio.gather(*(pilot.ask("/body") for _ in range(3)))
    assert answers == [(200, "deepdeep")] * 3


async def test_what_goes_on_after_the_answer_waits_too(pilot: Served) -> None:
    before = len(pilot.events)
    assert await pilot.ask("/later") == (200, "")
    await pilot.says("later deep", since=before)


@pytest.mark.parametrize("file", ["adapter.py", "python_modules/adapter/__init__.py"])
async def test_one_that_is_imported_within_a_request_waits_in_the_first(tmp_path: Path, file: str) -> None:
    adapter = "def wait(work):\n    from pyodide.ffi import run_sync\n    return run_sync(work)\n"
    write(tmp_path, LATE, files={file: adapter})
    async with serving(tmp_path) as pilot:
        assert await pilot.ask() == (200, "late")


async def test_a_client_that_leaves_ends_the_wait(pilot: Served) -> None:
    before = len(pilot.events)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(pilot.ask("/forever"), 0.5)
    await pilot.says("ended", since=before)


async def test_timers(pilot: Served) -> None:
    assert await pilot.ask("/timed") == (200, "[true,true,true,true]")


async def test_globals_of_javascript(pilot: Served) -> None:
    status, text = await pilot.ask("/globals")
    assert (status, text) == (200, '["2d711642",32,32,"NotSupportedError",8,true,"y","<p>new</p>",[1,2],["k"]]')


async def test_a_handler_in_a_thread_waits_too(pilot: Served) -> None:
    assert await pilot.save(PLAIN)
    assert await pilot.ask() == (200, "in a thread")
    assert await pilot.save(ENTRY)
