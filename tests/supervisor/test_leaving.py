"""A client that leaves frees the model; a client that reads slowly costs no memory."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest
import pytest_asyncio
from aiohttp import web

from serving import ROUTER, Served, serving, write

ENTRY = (
    ROUTER
    + """
import asyncio, os
from workers import AbortError, AbortSignal, Response
from workers import fetch as outbound

ASK = {"prompt": "one two three", "stream": True}

async def passed(env):
    return await env.AI.run("slow", ASK)

async def wrapped(env):
    return Response(await env.AI.run("slow", ASK), headers={"content-type": "text/event-stream"})

async def iterated(env):
    async def each(stream):
        async for chunk in stream:
            yield chunk
    return Response(each(await env.AI.run("slow", ASK)))

async def forgotten(env):
    await env.AI.run("slow", ASK)
    return Response("forgotten")

async def waiting(env):
    return Response(str(await env.AI.run("slow", {"prompt": "one"})))

async def proxied(env):
    return await outbound(env.UPSTREAM)

async def proxied_in_pieces(env):
    async def each(answer):
        async for chunk in answer.body:
            yield chunk
    return Response(each(await outbound(env.UPSTREAM)))

async def generated():
    async def count():
        try:
            while True:
                yield b"."
                await asyncio.sleep(0.05)
        finally:
            print("generator closed")
    return Response(count())

async def asleep():
    try:
        await asyncio.sleep(60)
    finally:
        print("handler cancelled")

async def signalled(request):
    request.signal.add_event_listener("abort", lambda *event: print("signal aborted"))
    await asyncio.sleep(60)

def heard(signal, what):
    signal.add_event_listener("abort", lambda event: print(what, "aborted"))

async def dots():
    while True:
        yield b"."
        await asyncio.sleep(0.05)

async def signalled_stream(request):
    heard(request.signal, "stream")
    return Response(dots())

async def signalled_pass(request, env):
    heard(request.signal, "pass")
    return await env.AI.run("slow", ASK)

async def signalled_proxy(request, env):
    heard(request.signal, "proxy")
    return await outbound(env.UPSTREAM, signal=request.signal)

async def signalled_any(request):
    heard(AbortSignal.any([AbortSignal.timeout(60_000), request.signal]), "any")
    return Response(dots())

async def signalled_in_task(request, env, ctx):
    async def later():
        await request.signal.wait()
        print("task aborted")
        try: await outbound(env.UPSTREAM, signal=request.signal)
        except AbortError: print("nothing more is fetched")
    ctx.waitUntil(later())
    return await env.AI.run("slow", ASK)

async def signalled_inside(request):
    async def each():
        try:
            async for dot in dots(): yield dot
        finally:
            print("inside", "aborted" if request.signal.aborted else "not aborted")
    return Response(each())

async def to_its_end(request, env, ctx):
    heard(request.signal, "wrongly")
    ctx.waitUntil(asyncio.sleep(0.1))
    if URL(request.url).search == "?model":
        return await env.AI.run("quick", {**ASK, "prompt": "hello"})
    async def each():
        yield b"hello"
        await asyncio.sleep(0.05)
    return Response(each())

async def outlives(request, ctx):
    async def later():
        await asyncio.sleep(0.3)
        print("task finished")
    ctx.waitUntil(later())
    await asyncio.sleep(60)

async def much():
    async def flood():
        for _ in range(1000):
            yield b"x" * 100_000
    return Response(flood())

async def pid():
    return Response(str(os.getpid()))
"""
)
pytestmark = pytest.mark.asyncio(loop_scope="module")
MODELS = "slow: {engine: openai, model: acme, options: {base_url: 'URL/v1', api_key: k}}\nquick: {engine: echo}\n"


class Upstream:
    """An OpenAI-compatible server and a stream to proxy, which count who is being served."""

    def __init__(self) -> None:
        self.live = 0
        self.left_at = 0.0
        self.silent = False  # never come to the first token
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        self.live += 1
        try:
            await response.prepare(request)
            while True:
                await asyncio.sleep(0.01)
                if not self.silent:
                    await response.write(b'data: {"choices":[{"index":0,"delta":{"content":" word"}}]}\n\n')
        finally:
            self.live -= 1
            self.left_at = time.monotonic()

    async def until(self, live: int) -> None:
        async with asyncio.timeout(30):
            while self.live != live:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    server, app = Upstream(), web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = site.name
    yield server
    await runner.cleanup()


Serving = tuple[Served, Upstream]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    async with upstream() as server:
        folder = tmp_path_factory.mktemp("worker")
        config = f'[ai]\nbinding = "AI"\n[vars]\nUPSTREAM = "{server.url}/stream"\n'
        write(folder, ENTRY, config, {"models.yaml": MODELS.replace("URL", server.url)})
        async with serving(folder) as pilot:
            yield pilot, server


@pytest.fixture
def pair(shared: Serving) -> Serving:
    shared[1].silent = False
    shared[0].events.clear()
    return shared


async def begun(pilot: Served, path: str) -> aiohttp.ClientResponse:
    response = await pilot.http.get(pilot.url + path)
    assert response.status == 200
    await response.content.readany()
    return response


@pytest.mark.parametrize("path", ["/passed", "/wrapped", "/iterated", "/proxied", "/proxied_in_pieces"])
async def test_leaving_a_stream_ends_it_at_its_source(pair: Serving, path: str) -> None:
    pilot, server = pair
    times = []
    for _ in range(3):
        response = await begun(pilot, path)
        assert server.live == 1
        left = time.monotonic()
        response.close()
        await server.until(0)
        times.append(server.left_at - left)
        await pilot.event("request", path=path, note="client left")
    assert min(times) < 0.5, times  # 0.05 on a machine at rest


@pytest.mark.parametrize("path", ["/passed", "/iterated", "/waiting"])
async def test_leaving_before_the_first_token(pair: Serving, path: str) -> None:
    pilot, server = pair
    server.silent = True
    request = asyncio.create_task(pilot.ask(path))
    await server.until(1)
    request.cancel()
    await server.until(0)
    assert (await pilot.event("request", path=path, note="client left"))["status"] == 499


async def test_a_stream_that_is_never_used_ends(pair: Serving) -> None:
    pilot, server = pair
    assert await pilot.ask("/forgotten") == (200, "forgotten")
    await server.until(0)


@pytest.mark.parametrize(("path", "told"), [
    ("/generated", "generator closed"), ("/asleep", "handler cancelled"), ("/signalled", "signal aborted"),
    ("/outlives", "task finished"),
])  # fmt: skip
async def test_the_worker_learns_of_it(pair: Serving, path: str, told: str) -> None:
    pilot, _ = pair
    request = asyncio.create_task(pilot.ask(path))
    await asyncio.sleep(0.3)
    request.cancel()
    await pilot.event("output", text=told)
    await pilot.event("request", path=path, note="client left")


@pytest.mark.parametrize(("path", "told"), [
    ("/signalled_stream", "stream aborted"), ("/signalled_pass", "pass aborted"), ("/signalled_proxy", "proxy aborted"),
    ("/signalled_any", "any aborted"), ("/signalled_in_task", "task aborted"), ("/signalled_inside", "inside aborted"),
    ("/signalled_in_task", "nothing more is fetched"),
])  # fmt: skip
async def test_the_signal_aborts_after_the_head_is_out(pair: Serving, path: str, told: str) -> None:
    pilot, server = pair
    (await begun(pilot, path)).close()
    await pilot.event("output", text=told)
    await pilot.event("request", path=path, note="client left")
    await server.until(0)


async def test_the_signal_of_an_answer_that_is_over(pair: Serving) -> None:
    pilot, _ = pair
    for method, path in (("GET", ""), ("GET", "?model"), ("HEAD", ""), ("HEAD", "?model")):
        status, text = await pilot.ask("/to_its_end" + path, method)
        assert (status, "hello" in text) == (200, method == "GET")
    host, _, port = pilot.url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /to_its_end?model HTTP/1.1\r\nhost: a\r\n\r\n")
    async with asyncio.timeout(30):
        await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    assert await pilot.ask("/forgotten") == (200, "forgotten")
    assert not [line for line in pilot.events if "wrongly" in str(line)]


async def test_others_never_notice(pair: Serving) -> None:
    pilot, server = pair
    stays = await begun(pilot, "/iterated")
    for _ in range(5):
        (await begun(pilot, "/iterated")).close()
        (await begun(pilot, "/passed")).close()
    await server.until(1)
    for _ in range(20):
        assert await stays.content.readany()
    stays.close()
    await server.until(0)


def slow_reader(pilot: Served, path: str) -> socket.socket:
    """It asks, and does not read."""
    host, _, port = pilot.url.removeprefix("http://").rpartition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, int(port)))
    sock.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return sock


def memory(pilot: Served) -> float:
    """MiB of the supervisor and the isolates."""
    tree = psutil.Process(pilot.process.pid)
    return sum(process.memory_info().rss for process in [tree, *tree.children(recursive=True)]) / 2**20


async def test_a_client_that_reads_slowly_holds_the_worker_back(pair: Serving) -> None:
    pilot, _ = pair
    await pilot.ask("/pid")
    before = memory(pilot)
    with slow_reader(pilot, "/much"):  # 100 MB
        await asyncio.sleep(1)
        assert memory(pilot) < before + 30
    await pilot.event("request", path="/much", note="client left")


async def test_a_client_that_reads_a_models_answer_slowly_loses_nothing(tmp_path: Path) -> None:
    entry = """
async def fetch(request, env, ctx):
    return await env.AI.run("fast", {"prompt": "x", "stream": True, "max_tokens": 60000})
"""
    models = "fast: {engine: echo, options: {tokens: 60000}}\n"
    write(tmp_path, entry, '[ai]\nbinding = "AI"\n', {"models.yaml": models})
    async with serving(tmp_path) as pilot:
        _, whole = await pilot.ask()
        before = memory(pilot)
        with slow_reader(pilot, "/") as sock:
            await asyncio.sleep(1.5)
            assert memory(pilot) < before + 40
            sock.settimeout(20)
            read = await asyncio.to_thread(_rest, sock)
        assert read.count(b" x") == whole.count(" x") == 59_999


def _rest(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        data += sock.recv(1 << 20)
    return data
