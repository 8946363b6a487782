"""Requests that need no task, and what makes one go on in a task after all."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from serving import ROUTER, connect, serving, write

ENTRY = f"""
import asyncio
from workers import Response

def index(): return Response("hello")

async def wait(request):
    request.signal.add_event_listener("abort", lambda _: print("left alone", flush=True))
    await asyncio.sleep(30)

async def read(request):
    await request.text()
    await wait(request)

async def echo(request):
    return Response(await request.text(), status=201)

async def stream(request):
    text = await request.text()
    async def chunks():
        yield text
        await asyncio.sleep(0.05)
        yield text
    return Response(chunks())

async def unread():
    return Response("unread")

async def late():
    print("at work", flush=True)
    await asyncio.sleep(0.5)
    return Response("late")
{ROUTER}
"""


def asking(*paths: str) -> bytes:
    return "".join(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n" for path in paths).encode()


async def test_the_second_of_two_at_once_is_watched_as_the_first_was(tmp_path: Path) -> None:
    """It begins in the midst of the first one's end. Its client leaves: the worker and the log are told."""
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        reader, writer = await connect(pilot)
        writer.write(asking("/", "/", "/wait"))
        for _ in range(2):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(5) == b"hello"
        writer.close()
        await pilot.says("left alone")
        line = await pilot.event("request", path="/wait")
        assert (line["status"], line["note"]) == (499, "client left")
        assert await pilot.ask() == (200, "hello")


async def test_a_server_that_ends_waits_for_an_answer(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path, "--drain", "20") as pilot:
        reader, writer = await connect(pilot)
        writer.write(asking("/late"))
        await pilot.says("at work")
        pilot.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200"), pilot.log()
        assert answer.endswith(b"late")
        assert b"connection: close" in answer.lower()


def posting(path: str, body: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n{body}".encode()


async def test_a_body_comes_with_its_head_or_after_it(tmp_path: Path) -> None:
    """In one read with the head; in two; behind another request; none of it is left for the next."""
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        reader, writer = await connect(pilot)

        async def answered(status: bytes, body: bytes) -> None:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)
            assert await reader.readexactly(len(body)) == body

        writer.write(posting("/echo", "first"))
        await answered(b"201", b"first")
        for part in (posting("/echo", "sec", 6), b"ond"):
            writer.write(part)
            await asyncio.sleep(0.1)
        await answered(b"201", b"second")
        writer.write(
            posting("/echo", "third") + posting("/unread", "fourth") + asking("/") + posting("/echo", "x" * 65536)
        )
        await answered(b"201", b"third")
        await answered(b"200", b"unread")
        await answered(b"200", b"hello")
        await answered(b"201", b"x" * 65536)
        for size in (65537, 200_000, 400_000):
            writer.write(posting("/echo", "y" * size))
            await answered(b"201", b"y" * size)
        writer.close()


async def test_what_was_posted_is_streamed(tmp_path: Path) -> None:
    """The answer goes on in a task, as one without a body does."""
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        assert await pilot.ask("/stream", method="POST", data="ab") == (200, "abab")
        for path, size in (("/wait", 6), ("/read", 150_000)):
            _, writer = await connect(pilot)
            writer.write(posting(path, "x" * size))
            await asyncio.sleep(0.3)
            writer.close()
            line = await pilot.event("request", path=path)
            assert (line["method"], line["status"], line["note"]) == ("POST", 499, "client left")
            await pilot.says("left alone")


async def test_a_body_that_turns_out_malformed_is_not_asked_with(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        reader, writer = await connect(pilot)
        writer.write(b"POST /late HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()
        assert await pilot.ask() == (200, "hello")
        assert "at work" not in pilot.log()


async def test_a_body_over_the_limit_is_refused_though_it_is_here(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, '[pilot]\nbody_limit = "4B"\n')
    async with serving(tmp_path) as pilot:
        assert (await pilot.ask("/echo", method="POST", data="12345"))[0] == 413
        assert await pilot.ask("/echo", method="POST", data="1234") == (201, "1234")
