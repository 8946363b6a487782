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
