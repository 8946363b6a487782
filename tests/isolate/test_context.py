"""``ctx``: what goes on after the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = (
    ROUTER
    + """
import asyncio, sys, time
from workers import Response, env, wait_until, waitUntil, WorkerEntrypoint

async def later(text, seconds=0.2):
    await asyncio.sleep(seconds)
    print(text)
async def failing():
    await asyncio.sleep(0.05)
    raise ValueError("too late")
async def stubborn():
    while True:
        try: await asyncio.sleep(60)
        except asyncio.CancelledError: print("stubborn")
async def exiting(): sys.exit(5)
async def nested(ctx):
    ctx.waitUntil(later("nested"))
async def spoken():
    print("env", env.NAME)

def after(ctx): ctx.waitUntil(later("after")); return Response("x")
def snake(ctx): ctx.wait_until(later("snake")); return Response("x")
def module(): wait_until(later("module")); waitUntil(later("camel")); return Response("x")
def plural(ctx):
    for number in range(3): ctx.waitUntil(later(f"plural {number}"))
    return Response("x")
def deep(ctx): ctx.waitUntil(nested(ctx)); return Response("x")
def task(ctx): ctx.waitUntil(asyncio.create_task(later("task"))); return Response("x")
def gathered(ctx): ctx.waitUntil(asyncio.gather(later("one"), later("two"))); return Response("x")
def knows(ctx): ctx.waitUntil(spoken()); return Response("x")
def fails(ctx): ctx.waitUntil(failing()); return Response("x")
def exits(ctx): ctx.waitUntil(exiting()); return Response("x")
def endless(ctx): ctx.waitUntil(later("never", 60)); return Response("x")
def obstinate(ctx): ctx.waitUntil(stubborn()); return Response("x")
def raises(ctx): ctx.waitUntil(later("despite")); raise ValueError("no")
def wrong(ctx): ctx.waitUntil(later); return Response("x")
def passes(ctx): ctx.passThroughOnException(); ctx.pass_through_on_exception(); raise ValueError("no")
def props(ctx): return Response(str(ctx.props))
def reloaded(ctx): ctx.waitUntil(later("survived", 0.8)); return Response("x")
def streams(ctx):
    async def chunks():
        for number in range(4):
            yield str(number)
            await asyncio.sleep(0.4)
    ctx.waitUntil(later("outlived", 2.2))
    return Response(chunks())
def leaves(ctx):
    async def chunks():
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.05)
        finally: print("closed")
    ctx.waitUntil(later("after leaving"))
    return Response(chunks())
"""
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("context")
    write(folder, WORKER, '[pilot]\nwait_until = 1\n[vars]\nNAME = "pilot"\n')
    async with serving(folder) as served:
        yield served


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("after", ["after"]), ("snake", ["snake"]), ("module", ["module", "camel"]), ("deep", ["nested"]),
        ("plural", ["plural 0", "plural 1", "plural 2"]), ("task", ["task"]), ("gathered", ["one", "two"]),
        ("knows", ["env pilot"]),
    ],
)  # fmt: skip
async def test_work_goes_on_after_the_response(pilot: Served, path: str, texts: list[str]) -> None:
    since = len(pilot.events)
    assert await pilot.ask(f"/{path}") == (200, "x")
    assert not any(line.get("text") in texts for line in pilot.events[since:]) or path == "knows"
    for text in texts:
        await pilot.event("output", since=since, text=text, within=20)


async def test_a_response_does_not_wait(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/endless") == (200, "x")
    assert not any("cancelled" in str(line) for line in pilot.events[since:]), "it came before the work's end"


@pytest.mark.parametrize("path", ["endless", "obstinate"])
async def test_work_has_a_limit(pilot: Served, path: str) -> None:
    since = len(pilot.events)
    assert await pilot.ask(f"/{path}") == (200, "x")
    line = await pilot.says("cancelled 1 s after its response", since=since, within=20)
    assert line["stream"] == "stderr"


async def test_the_limit_begins_with_the_end_of_the_response(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/streams") == (200, "0123")
    await pilot.event("output", since=since, text="outlived", within=20)


async def test_work_goes_on_when_the_client_leaves(pilot: Served) -> None:
    since = len(pilot.events)
    async with pilot.http.get(f"{pilot.url}/leaves") as response:
        await response.content.readany()
    await pilot.event("output", since=since, text="closed", within=20)
    await pilot.event("output", since=since, text="after leaving", within=20)


async def test_a_failure_is_told(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/fails") == (200, "x")
    await pilot.says("ValueError: too late", since=since, within=20)
    await pilot.says('entry.py", line', since=since, within=20)
    assert await pilot.ask("/exits") == (200, "x")
    await pilot.says("it ended itself: SystemExit(5)", since=since, within=20)
    assert await pilot.ask("/props") == (200, "{}")


async def test_work_goes_on_after_an_exception(pilot: Served) -> None:
    since = len(pilot.events)
    assert (await pilot.ask("/raises"))[0] == 500
    await pilot.event("output", since=since, text="despite", within=20)


async def test_what_cannot_be_awaited_is_refused(pilot: Served) -> None:
    status, text = await pilot.ask("/wrong")
    assert (status, "wants an awaitable, not function: call the function" in text) == (500, True)


async def test_pass_through_on_exception_is_accepted(pilot: Served) -> None:
    status, text = await pilot.ask("/passes")
    assert (status, "ValueError: no" in text) == (500, True)


async def test_work_survives_a_reload(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/reloaded") == (200, "x")
    assert await pilot.save(WORKER + "\ndef version(): return Response('two')\n")
    assert await pilot.ask("/version") == (200, "two")
    await pilot.event("output", since=since, text="survived", within=20)


async def test_a_plain_function_may_begin_work_too(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.save(
        "import asyncio\nfrom workers import Response, wait_until, env\n"
        "async def later(text):\n"
        "    await asyncio.sleep(0.1)\n"
        "    print(text, env.NAME)\n"
        "def fetch(request, env, ctx):\n"
        "    ctx.waitUntil(later('from a thread'))\n"
        "    wait_until(later('and another'))\n"
        "    return Response('x')"
    )
    assert await pilot.ask() == (200, "x")
    await pilot.event("output", since=since, text="from a thread pilot", within=20)
    await pilot.event("output", since=since, text="and another pilot", within=20)


async def test_there_is_no_event_while_the_module_is_imported(pilot: Served) -> None:
    since = len(pilot.events)
    assert not await pilot.save("from workers import wait_until\nasync def x(): ...\nwait_until(x())\n")
    error = await pilot.event("script_error", since=since)
    assert "only while an event is served" in error["what"]
    await asyncio.sleep(0)
