"""``fetch`` in a worker: its answers, streamed both ways, and what becomes of those that do not come."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from codings_support import PACK, UNPACK
from runtime.web.codings import decoder
from serving import ROUTER, Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = (
    ROUTER
    + """
import asyncio
from workers import AbortController, AbortSignal, Request, Response, fetch as ask

async def told(env):
    answer = await ask(env.TARGET + "/told?a=b", method="POST", headers={"x-a": "b"}, body="héllo")
    return Response.json([answer.status, answer.ok, answer.url, await answer.json()])
async def passed(env, request): return await ask(env.TARGET + "/" + request.url.rpartition("/")[2])
async def forwarded(env, request): return await ask(env.TARGET + "/told", request)
async def body_of(env): return Response((await ask(env.TARGET + "/slow")).body, headers={"x-mine": "yes"})
async def changed(env):
    answer = await ask(env.TARGET + "/slow")
    async def upper():
        async for chunk in answer.body: yield chunk.upper()
    return Response(upper())
async def text_of(env, request):
    return Response(await (await ask(env.TARGET + "/zipped" + URL(request.url).search)).text())
async def cloned(env):
    answer = await ask(env.TARGET + "/zipped")
    copy = answer.clone()
    return Response.json([await answer.text(), await copy.text()])
async def upload(env):
    async def chunks():
        for number in range(3):
            yield f"chunk {number}\\n"
            await asyncio.sleep(0.3)
    return await ask(env.TARGET + "/echo", method="POST", body=chunks())
async def relay(env, request): return await ask(env.TARGET + "/echo", method="POST", body=request.body)
async def redirected(env, request):
    answer = await ask(env.TARGET + "/away", redirect=request.url.rpartition("/")[2])
    return Response.json([answer.status, answer.redirected, answer.headers.get("location"), await answer.text()])
async def labelled(request):
    coding = URL(request.url).search[1:]
    return Response("hi " * 20, headers={"content-encoding": coding, "content-length": "999"})
seen = asyncio.Event()
async def read_it():
    seen.set()
    return Response("ok")
async def labelled_events(request):
    async def events():
        seen.clear()
        yield "data: first\\n\\n"
        await seen.wait()
        yield "data: second\\n\\n"
    headers = {"content-encoding": URL(request.url).search[1:], "content-type": "text/event-stream"}
    return Response(events(), headers=headers)
async def labelled_mine(): return Response(b"mine", headers={"content-encoding": "br"}, encode_body="manual")
async def head(env): return await ask(env.TARGET + "/zipped", method="HEAD")
async def many(env):
    answers = await asyncio.gather(*(ask(env.TARGET + "/told") for _ in range(30)))
    return Response(str(len([await answer.json() for answer in answers])))
async def unread(env):
    for _ in range(20): await ask(env.TARGET + "/endless")
    return Response("done")

async def failing(request, work):
    try: answer = await work
    except Exception as error: return Response(f"{type(error).__name__}: {error}")
    try: return Response("answer: " + await answer.text())
    except Exception as error: return Response(f"half-way {type(error).__name__}: {error}")
def refused(request): return failing(request, ask("http://127.0.0.1:9/"))
def nowhere(request): return failing(request, ask("http://no-such-host.invalid/"))
def no_url(request): return failing(request, ask("/relative"))
def scheme(request): return failing(request, ask("ftp://example.com/"))
def loop(request, env): return failing(request, ask(env.TARGET + "/loop"))
def cut(request, env): return failing(request, ask(env.TARGET + "/cut"))
def timeout(request, env): return failing(request, ask(env.TARGET + "/never", signal=AbortSignal.timeout(200)))
def timeout_body(request, env): return failing(request, ask(env.TARGET + "/endless", signal=AbortSignal.timeout(200)))
def aborted(request, env):
    controller = AbortController()
    asyncio.get_running_loop().call_later(0.1, controller.abort)
    return failing(request, ask(env.TARGET + "/never", signal=controller.signal))
async def uncaught(env): return await ask("http://127.0.0.1:9/")
"""
)


class Target:
    """A server that workers ask. ``open`` counts the answers that are being sent."""

    def __init__(self) -> None:
        self.open, self.arrived = 0, [0.0]

    async def told(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        return web.json_response({"method": request.method, "path": request.path_qs, "headers": headers,
                                  "body": (await request.read()).decode()})  # fmt: skip

    async def slow(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, ["one\n", "two\n"], 0.5)

    async def endless(self, request: web.Request) -> web.StreamResponse:
        return await self._stream(request, ["x" * 1000] * 10_000, 0.02)

    async def cut(self, request: web.Request) -> web.StreamResponse:
        response = await self._stream(request, ["some"], 0.1, end=False)
        assert request.transport is not None
        request.transport.abort()
        return response

    async def never(self, request: web.Request) -> web.StreamResponse:
        self.open += 1
        try:
            await asyncio.sleep(60)
        finally:
            self.open -= 1
        return web.Response()

    async def zipped(self, request: web.Request) -> web.Response:
        coding = request.query_string or "gzip"
        headers = {"content-encoding": coding, "content-type": "text/plain", "x-a": "b"}
        response = web.Response(body=PACK[coding](b"zipped " * 100), headers=headers)
        response.cookies["a"], response.cookies["b"] = "1", "2"
        return response

    async def echo(self, request: web.Request) -> web.StreamResponse:
        self.arrived = []
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            self.arrived.append(time.monotonic())
            await response.write(chunk)
        return response

    async def away(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": "/told"}, text="moved")

    async def loop(self, request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": "/loop"})

    async def _stream(
        self, request: web.Request, chunks: list[str], pause: float, end: bool = True
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.open += 1
        try:
            for chunk in chunks:
                await response.write(chunk.encode())
                await asyncio.sleep(pause)
            if end:
                await response.write_eof()
        finally:
            self.open -= 1
        return response


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def target() -> AsyncIterator[tuple[Target, str]]:
    server, app = Target(), web.Application(client_max_size=1 << 30)
    for name in ("told", "slow", "endless", "cut", "never", "zipped", "echo", "away", "loop"):
        app.router.add_route("*", f"/{name}", getattr(server, name))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield server, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory, target: tuple[Target, str]) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("fetch")
    write(folder, WORKER, f'[vars]\nTARGET = "{target[1]}"\n')
    async with serving(folder) as served:
        yield served


async def gone(server: Target, within: float = 3.0) -> None:
    async with asyncio.timeout(within):
        while server.open:
            await asyncio.sleep(0.01)


async def test_a_request_and_its_answer(pilot: Served, target: tuple[Target, str]) -> None:
    status, ok, url, body = json.loads((await pilot.ask("/told"))[1])
    assert (status, ok, url) == (200, True, f"{target[1]}/told?a=b")
    assert (body["method"], body["path"], body["body"]) == ("POST", "/told?a=b", "héllo")
    assert body["headers"]["x-a"] == "b"
    assert body["headers"]["content-type"] == "text/plain;charset=UTF-8"
    assert "user-agent" not in body["headers"]


async def test_an_answer_passes_through_as_it_came(pilot: Served) -> None:
    async with pilot.http.get(f"{pilot.url}/passed/zipped") as response:
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers.getall("set-cookie") == ["a=1", "b=2"]
        assert len(response.headers.getall("date")) == 1
        body = await response.read()
        assert response.headers["content-length"] == str(len(body))
        assert gzip.decompress(body) == b"zipped " * 100
    async with pilot.http.head(f"{pilot.url}/head") as response:
        assert (response.status, response.headers["x-a"]) == (200, "b")
    assert await pilot.ask("/head") == (200, "")


@pytest.mark.parametrize("coding", PACK)
async def test_an_answer_is_decoded_when_it_is_read(pilot: Served, coding: str) -> None:
    assert await pilot.ask("/text_of?" + coding) == (200, "zipped " * 100)
    async with pilot.http.get(f"{pilot.url}/passed/zipped?{coding}") as response:
        assert response.headers["content-encoding"] == coding
        assert await response.read() == PACK[coding](b"zipped " * 100), "byte for byte"
    async with pilot.http.get(f"{pilot.url}/passed/zipped?{coding}", headers={"accept-encoding": "x"}) as response:
        assert "content-encoding" not in response.headers, "its client could not read that"
        assert await response.read() == b"zipped " * 100


@pytest.mark.parametrize("coding", PACK)
async def test_a_body_is_encoded_as_it_is_labelled(pilot: Served, coding: str) -> None:
    url = f"{pilot.url}/labelled?{coding}"
    curl = await asyncio.create_subprocess_exec("curl", "-sS", "--compressed", url, stdout=asyncio.subprocess.PIPE)
    assert (await curl.communicate())[0] == b"hi " * 20
    for accepts in ({"accept-encoding": coding}, {}):
        options: Any = {"headers": accepts, "skip_auto_headers": ["accept-encoding"]}
        async with pilot.http.get(url, **options) as response:
            body = await response.read()
            assert response.headers["content-encoding"] == coding
            assert response.headers["content-length"] == str(len(body))
            assert UNPACK[coding](body) == b"hi " * 20
    async with pilot.http.get(url, headers={"accept-encoding": f"{coding};q=0, identity"}) as response:
        assert (await response.read(), response.headers.get("content-encoding")) == (b"hi " * 20, None)
    async with pilot.http.head(url) as response:
        assert (response.status, response.headers["content-encoding"]) == (200, coding)


@pytest.mark.parametrize("coding", PACK)
async def test_an_encoded_stream_flows(pilot: Served, coding: str) -> None:
    headers = {"accept-encoding": coding}
    async with pilot.http.get(f"{pilot.url}/labelled_events?{coding}", headers=headers) as response:
        unpack, text = decoder(coding), b""
        while not text.endswith(b"\n\n"):
            text += b"".join(unpack.feed(await response.content.readany()))
        assert text == b"data: first\n\n", "the worker waits for the next request"
        await pilot.ask("/read_it")
        rest = b"".join(unpack.feed(await response.content.read()))
        assert rest + unpack.finish() == b"data: second\n\n"


async def test_a_body_that_is_encoded_already(pilot: Served) -> None:
    async with pilot.http.get(f"{pilot.url}/labelled_mine", headers={"accept-encoding": "gzip"}) as response:
        assert (await response.read(), response.headers["content-encoding"]) == (b"mine", "br")
    assert json.loads((await pilot.ask("/cloned"))[1]) == ["zipped " * 100] * 2


async def test_a_request_is_forwarded(pilot: Served, target: tuple[Target, str]) -> None:
    _, text = await pilot.ask("/forwarded", "PUT", data=b"of mine", headers={"x-a": "b"})
    body = json.loads(text)
    assert (body["method"], body["body"], body["headers"]["x-a"]) == ("PUT", "of mine", "b")
    assert body["headers"]["host"] == target[1].removeprefix("http://"), "the new URL's, not the old one's"


@pytest.mark.parametrize(("path", "first"), [("passed/slow", b"one\n"), ("body_of", b"one\n"), ("changed", b"ONE\n")])
async def test_chunks_come_as_they_are_sent(pilot: Served, target: tuple[Target, str], path: str, first: bytes) -> None:
    async with pilot.http.get(f"{pilot.url}/{path}") as response:
        assert await response.content.readany() == first
        assert target[0].open == 1, "it is still sending"
        assert response.headers.get("x-mine") == ("yes" if path == "body_of" else None)
        assert len(await response.content.read()) == 4


async def test_an_upload_streams(pilot: Served, target: tuple[Target, str]) -> None:
    assert await pilot.ask("/upload") == (200, "chunk 0\nchunk 1\nchunk 2\n")
    arrived = target[0].arrived
    assert len(arrived) == 3
    assert arrived[2] - arrived[0] > 0.4


async def test_a_body_is_relayed(pilot: Served) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(100):
            yield bytes([number]) * 65536

    async with pilot.http.post(f"{pilot.url}/relay", data=chunks()) as response:
        assert await response.read() == b"".join([chunk async for chunk in chunks()])
    assert await pilot.ask("/relay", "POST", data=b"small") == (200, "small")


async def test_redirects(pilot: Served) -> None:
    status, redirected, location, text = json.loads((await pilot.ask("/redirected/follow"))[1])
    assert (status, redirected, location, json.loads(text)["path"]) == (200, True, None, "/told")
    assert json.loads((await pilot.ask("/redirected/manual"))[1]) == [302, False, "/told", "moved"]
    status, text = await pilot.ask("/redirected/error")
    assert (status, "redirect is 'error'" in text) == (500, True)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("refused", "NetworkError: fetch from 127.0.0.1:9 failed: Connect"),
        ("nowhere", "NetworkError: fetch from no-such-host.invalid failed: no such host"),
        ("no_url", "TypeError: invalid URL"), ("scheme", "NetworkError: ftp: is not supported"),
        ("loop", "NetworkError: failed: more than 20 redirects"),
        ("cut", "half-way NetworkError: failed: its answer ended before its end"),
        ("timeout", "TimeoutError"), ("timeout_body", "half-way TimeoutError"), ("aborted", "AbortError"),
    ],
)  # fmt: skip
async def test_what_fails_is_an_exception(pilot: Served, target: tuple[Target, str], path: str, told: str) -> None:
    status, text = await pilot.ask(f"/{path}")
    kind, _, what = told.partition(": ")
    assert (status, text.startswith(kind), what in text) == (200, True, True), text
    await gone(target[0])


async def test_what_fails_uncaught_is_the_scripts_error(pilot: Served) -> None:
    since = len(pilot.events)
    status, text = await pilot.ask("/uncaught")
    assert (status, "fetch from 127.0.0.1:9 failed" in text, "in uncaught" in text) == (500, True, True)
    await pilot.event("script_error", since=since)
    since = len(pilot.events)
    async with pilot.http.get(f"{pilot.url}/passed/cut") as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    error = await pilot.event("script_error", since=since)
    assert "its answer ended before its end" in error["what"]
    assert not [line for line in pilot.events[since:] if line["event"] == "fault"]


@pytest.mark.parametrize("path", ["passed/endless", "passed/never"])
async def test_a_client_that_leaves_ends_what_was_asked(pilot: Served, target: tuple[Target, str], path: str) -> None:
    task: asyncio.Task[Any] = asyncio.create_task(pilot.ask(f"/{path}"))
    await asyncio.sleep(0.3)
    assert target[0].open == 1
    task.cancel()
    await asyncio.wait([task])
    await gone(target[0])


async def test_answers_that_nobody_reads_are_let_go(pilot: Served, target: tuple[Target, str]) -> None:
    assert await pilot.ask("/unread") == (200, "done")
    await gone(target[0], within=20)
    assert await pilot.ask("/many") == (200, "30")
