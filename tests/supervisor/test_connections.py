"""Clients that do what HTTP allows: ask for an upgrade, speak HTTP/1.0, write what is not ASCII, send a FIN first."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from runtime.supervisor.http.client import leaving
from serving import ROUTER, Served, connect, raw, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORKER = (
    ROUTER
    + """
import asgi, asyncio
from workers import Response

async def told(request):
    headers = [[name, value] for name, value in request.headers.items()]
    return Response.json({"url": request.url, "headers": headers, "body": await request.text()})

async def parts(request):
    async def each():
        for part in (b"one ", b"two ", b"three"):
            yield part
            await asyncio.sleep(0.05)
    return Response(each(), headers={"x-body": await request.text()})

async def long():
    async def each():
        for _ in range(200):
            yield b"x" * 10_000
    return Response(each())

async def lengthy():
    return Response(b"x" * 3_000_000)

async def late(request):
    await asyncio.sleep(0.4)
    return Response("late " + await request.text())

async def model(request, env):
    ask = {"prompt": "x", "stream": URL(request.url).search == "?stream"}
    answer = await env.AI.run("slow", ask)
    return answer if ask["stream"] else Response(answer["response"])

async def waits():
    print("waiting")
    try: await asyncio.sleep(60)
    finally: print("ended")

async def told_length(request, env, ctx):
    request.signal.add_event_listener("abort", lambda event: print("wrongly aborted"))
    async def app(scope, receive, send):
        if scope["type"] == "lifespan": raise ValueError
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body"})
        print("came to its end")
    return await asgi.fetch(app, request, env, ctx)

async def drips():
    async def each():
        try:
            while True:
                yield b"."
                await asyncio.sleep(0.05)
        finally:
            print("drained")
    return Response(each())
"""
)
MODELS = "slow: {engine: echo, options: {tokens: 8, rate: 40}}\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("connections")
    write(folder, WORKER, '[ai]\nbinding = "AI"\n', {"models.yaml": MODELS})
    async with serving(folder) as served:
        yield served


async def curl(pilot: Served, path: str, *args: str) -> str:
    command = ["curl", "-sS", "--max-time", "30", *args, pilot.url + path]
    process = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
    out, err = await process.communicate()
    assert process.returncode == 0, err
    return out.decode()


def bodies(answers: bytes) -> list[Any]:
    """Each of those on one connection, as JSON."""
    return [json.loads(found) for found in re.findall(rb"\r\n\r\n(\{.*?\})(?=HTTP/1.1|$)", answers, re.DOTALL)]


ASKS = b"host: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n"
WITH_LENGTH = b"POST /told HTTP/1.1\r\n" + ASKS + b"content-length: 5\r\n\r\nhello"
IN_CHUNKS = b"POST /told HTTP/1.1\r\n" + ASKS + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
WEBSOCKET = (b"GET /told HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n"
             b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")  # fmt: skip
LAST = b"POST /told HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlast"


async def test_curl_asks_for_http2(pilot: Served) -> None:
    answer = await curl(pilot, "/told", "--http2", "--data", "hello")
    assert json.loads(answer)["body"] == "hello"
    big = await curl(pilot, "/told", "--http2", "--data", "x" * 100_000, "-H", "transfer-encoding: chunked")
    assert len(json.loads(big)["body"]) == 100_000


@pytest.mark.parametrize("asked", [WITH_LENGTH, IN_CHUNKS])
async def test_an_upgrade_that_nobody_takes_is_ignored(pilot: Served, asked: bytes) -> None:
    found = bodies(await raw(pilot, asked + WEBSOCKET + asked + LAST))
    assert [one["body"] for one in found] == ["hello", "", "hello", "last"]
    assert dict(found[1]["headers"])["upgrade"] == "websocket", "a worker may refuse or explain it"


async def test_its_body_may_come_late_and_in_pieces(pilot: Served) -> None:
    reader, writer = await connect(pilot)
    for start in range(0, len(WITH_LENGTH), 40):
        writer.write(WITH_LENGTH[start : start + 40])
        await asyncio.sleep(0.01)
    writer.write(LAST)
    async with asyncio.timeout(30):
        assert [one["body"] for one in bodies(await reader.read())] == ["hello", "last"]
    writer.close()


@pytest.mark.parametrize("keep", [b"", b"connection: keep-alive\r\n"])
async def test_http_1_0_has_no_chunks(pilot: Served, keep: bytes) -> None:
    for path, body in ((b"parts", b"one two three"), (b"long", b"x" * 2_000_000), (b"lengthy", b"x" * 3_000_000)):
        answer = await raw(pilot, b"GET /%b HTTP/1.0\r\n%b\r\n" % (path, keep))
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()
        assert rest == body
    assert await curl(pilot, "/parts", "-0", "-N", "-d", "hello") == "one two three"
    head = await raw(pilot, b"HEAD /parts HTTP/1.0\r\n\r\n")
    assert head.endswith(b"\r\n\r\n")


async def test_http_1_0_streams_as_it_goes(pilot: Served) -> None:
    reader, writer = await connect(pilot)
    writer.write(b"GET /drips HTTP/1.0\r\n\r\n")
    async with asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(3) == b"..."
    writer.close()
    await pilot.event("output", text="drained")


async def test_http_1_0_has_no_interim_answers(pilot: Served) -> None:
    request = b"POST /told HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi"
    assert (await raw(pilot, request)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("target", "seen"), [
    ("/told/é".encode(), "/told/%C3%A9"), ("/told?q=naïve&r=✓".encode(), "/told?q=na%C3%AFve&r=%E2%9C%93"),
    (b"/told/\xff?\xfe", "/told/%FF?%FE"), ("http://a/told/é%20".encode(), "/told/é%20".replace("é", "%C3%A9")),
])  # fmt: skip
async def test_a_target_beyond_ascii(pilot: Served, target: bytes, seen: str) -> None:
    get = b"GET %b HTTP/1.1\r\nhost: a\r\nx-name: caf\xe9\r\n\r\n" % target
    post = b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n\xc3\xa9" % target
    found = bodies(await raw(pilot, get + get + post + LAST))
    assert [one["url"] for one in found[:3]] == ["http://a" + seen] * 3
    assert [one["body"] for one in found] == ["", "", "é", "last"]
    assert dict(found[0]["headers"])["x-name"] == "café"


async def test_a_target_beyond_ascii_in_pieces(pilot: Served) -> None:
    reader, writer = await connect(pilot)
    pieces = b"GET /told/\xc3", b"\xa9 HTTP/1.1\r\n", b"x-name: caf\xe9\r\n", b"host: a\r\nconnection: close\r\n\r\n"
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.02)
    async with asyncio.timeout(30):
        found = bodies(await reader.read())[0]
    assert found["url"] == "http://a/told/%C3%A9"
    assert dict(found["headers"])["x-name"] == "café"
    writer.close()


async def test_curl_sends_a_target_as_it_is_typed(pilot: Served) -> None:
    url = json.loads(await curl(pilot, "/told/é?ü"))["url"]
    assert url.upper().endswith("/TOLD/%C3%A9?%C3%BC")


@pytest.mark.parametrize(("path", "answer"), [
    ("/told", b'"body":"hello"'), ("/parts", b"three"), ("/late", b"late hello"),
    ("/model", b"x"), ("/model?stream", b"[DONE]"), ("/lengthy", b"x" * 3_000_000),
])  # fmt: skip
async def test_who_sends_a_fin_first_has_the_whole_answer(pilot: Served, path: str, answer: bytes) -> None:
    for version in ("1.1", "1.0"):
        request = f"POST {path} HTTP/{version}\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello"
        found = await raw(pilot, request.encode(), end=True)
        assert found.startswith(b"HTTP/1.1 200"), found
        assert answer in found


async def test_all_that_was_pipelined_before_a_fin(pilot: Served) -> None:
    ask = b"POST /late HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n%d"
    answer = await raw(pilot, b"".join(ask % number for number in range(3)), end=True)
    assert re.findall(rb"late \d", answer) == [b"late 0", b"late 1", b"late 2"]


@pytest.mark.parametrize(("path", "told"), [("/waits", "ended"), ("/drips", "drained")])
@pytest.mark.parametrize("first", [True, False])
async def test_who_closes_has_left(pilot: Served, path: str, told: str, first: bool) -> None:
    """At once, or having sent a FIN a while before."""
    pilot.events.clear()
    reader, writer = await connect(pilot)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    if path == "/waits":
        await pilot.event("output", text="waiting")
    else:
        async with asyncio.timeout(30):
            await reader.readuntil(b".")
    if first:
        writer.write_eof()
        await asyncio.sleep(0.3)
        assert not [line for line in pilot.events if line.get("note") == "client left"]
    writer.close()
    await pilot.event("output", text=told)
    await pilot.event("request", path=path, note="client left")


async def test_who_goes_with_all_there_is_has_not_left(pilot: Served) -> None:
    pilot.events.clear()
    reader, writer = await connect(pilot)
    writer.write(b"GET /told_length HTTP/1.1\r\nhost: a\r\n\r\n")
    async with asyncio.timeout(30):
        await reader.readuntil(b"hello")
    writer.close()
    await pilot.event("output", text="came to its end")
    assert "note" not in await pilot.event("request", path="/told_length")
    assert not [line for line in pilot.events if "wrongly" in str(line)]


async def half_closed() -> tuple[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Server, list[Any]]:
    """A client that has sent a FIN to us, and what becomes of our end."""
    events: list[Any] = []

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            events.append(transport)

        def eof_received(self) -> bool:
            return True

        def connection_lost(self, exc: Exception | None) -> None:
            events.append("lost")

    server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write_eof()
    while not events:
        await asyncio.sleep(0.001)
    return reader, writer, server, events


@pytest.mark.parametrize("closes", [True, False])
async def test_a_client_of_another_machine_is_asked(closes: bool) -> None:
    reader, writer, server, events = await half_closed()
    elsewhere = ("192.0.2.1", 9), ("192.0.2.2", 80)
    assert leaving.is_held(*elsewhere) is None
    if closes:
        writer.close()
    leaving.Watch(events[0], *elsewhere, lambda: True)
    async with asyncio.timeout(30):
        if not closes:
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await asyncio.sleep(0.2)
            assert events[-1] != "lost"
            writer.close()
        else:
            while events[-1] != "lost":
                await asyncio.sleep(0.001)
    events[0].abort()
    server.close()
