"""What a binding, a stream or the network is asked for has a promise's methods."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = (
    ROUTER
    + """
import asyncio
import js
from pyodide.ffi import create_proxy
from workers import Response, WorkerEntrypoint

async def then(env):
    await env.KV.put("a", "b").then(lambda _: env.KV.put("c", "d"))
    both = await js.Promise.all([env.KV.get("a").then(str.upper), env.KV.get("c").then(str.upper)])
    return Response(" ".join(both))

async def catch(env):
    told = []
    await env.KV.put("", "x").then(told.append).catch(lambda error: told.append(str(error))).finally_(
        lambda: told.append("over"))
    return Response.json(told)

async def uncaught(env):
    try:
        await env.KV.put("", "x").finally_(lambda: print("finally had its turn"))
    except Exception as error:
        return Response(type(error).__name__)

async def begins(env):
    env.KV.put("order", "1").then(lambda _: print("put one"))
    return Response("asked")

async def proxied(env, ctx):
    async def own():
        await asyncio.sleep(0)
        print("the proxied one has run")
    ctx.waitUntil(create_proxy(own()))
    return Response("kept")

async def text(request):
    return Response(await request.text().then(lambda text: text[::-1]))

async def fetched(request):
    answer = await js.fetch(request.url.replace("fetched", "then")).then(lambda response: response.text())
    return Response(answer)

async def task():
    async def own():
        return 1
    return Response(str(await asyncio.create_task(own()).then(lambda one: one + 1)))

async def reader():
    reader = js.Response.new("hello").body.getReader()
    seen = []
    reader.closed.then(lambda _: seen.append("closed"))
    seen.append((await reader.read()).value.to_bytes().decode())
    await reader.read()
    await reader.closed
    await asyncio.sleep(0)
    return Response.json(seen)

async def writer():
    through = js.TransformStream.new()
    writer, reader = through.writable.getWriter(), through.readable.getReader()
    await writer.ready
    writer.closed.then(lambda _: print("the writer is closed"))
    writer.write("a")
    read = await reader.read()
    await writer.close()
    await writer.closed
    return Response(read.value.to_bytes())

async def aborted():
    writer = js.TransformStream.new().writable.getWriter()
    told = writer.closed.catch(lambda error: f"closed: {error}")
    await writer.abort(ValueError("no more"))
    return Response(await told)

async def broken():
    async def chunks():
        yield b"a"
        raise ValueError("source")
    reader = js.ReadableStream(chunks()).getReader()
    told = reader.closed.catch(lambda error: f"closed: {error}")
    await reader.read()
    try:
        await reader.read()
    except Exception:
        return Response(await told)
"""
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("promises")
    write(folder, ENTRY, 'compatibility_date = "2026-11-01"\nkv_namespaces = [{ binding = "KV", id = "kv" }]\n')
    async with serving(folder) as served:
        yield served


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("then", "B D"), ("uncaught", "JsException"), ("task", "2"), ("fetched", "B D"),
        ("reader", '["hello","closed"]'), ("writer", "a"), ("aborted", "closed: no more"), ("broken", "closed: source"),
    ],
)  # fmt: skip
async def test_it_gives_what_awaiting_gives(pilot: Served, path: str, answer: str) -> None:
    assert await pilot.ask(f"/{path}") == (200, answer)


async def test_what_fails_is_caught_and_goes_on(pilot: Served) -> None:
    status, told = await pilot.ask("/catch")
    assert (status, told) == (200, '["TypeError: Key name cannot be empty.","over"]')


async def test_a_request_has_them(pilot: Served) -> None:
    assert await pilot.ask("/text", "POST", data="abc") == (200, "cba")


async def test_what_nobody_waits_for_is_done(pilot: Served) -> None:
    await pilot.ask("/begins")
    await pilot.says("put one")


async def test_a_proxy_of_one_is_waited_for(pilot: Served) -> None:
    assert await pilot.ask("/proxied") == (200, "kept")
    await pilot.says("the proxied one has run")
