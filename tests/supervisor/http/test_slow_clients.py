"""Clients that keep a connection waiting: with half a head, with a slow body, with an answer they do not take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import ROUTER, Served, connect, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENTRY = (
    "import asyncio\nfrom workers import Response\n"
    + ROUTER
    + """
async def size(request): return Response(str(len(await request.bytes())))
async def early(request): return Response("before the body")
async def later(request):
    await asyncio.sleep(3)
    return Response(str(len(await request.bytes())))

async def both():
    for number in range(6):
        yield "x"
        await asyncio.sleep(0.5)
async def slowly(request): return Response(both())

taken = []
async def endless():
    try:
        while True:
            yield "x" * 65536
    finally:
        taken.append("closed")
async def flood(request): return Response(endless())
def closed(): return Response(str(len(taken)))
"""
)
# A second where it is twenty for others: the tests are to be quick.
CONFIG = "[pilot]\nhead_timeout = 1\nbody_timeout = 1\nbody_rate = 100\nanswer_timeout = 1\n"
HEAD = b"POST %s HTTP/1.1\r\nhost: localhost\r\n%s\r\n\r\n"
PARTS = [b"GET /size HTTP/1.1\r\nhost: loc", b"G", b"GET /size HTTP/1.1\r\nhost: localhost\r\nx: y\r\n", b"\r\n", b""]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("slow")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as running:
        yield running


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Until the server closes the connection."""
    async with asyncio.timeout(30):
        return await reader.read()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("after", [b"", b"POST /size HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx"])
async def test_half_a_head_is_closed(pilot: Served, part: bytes, after: bytes) -> None:
    """On a new connection, and on one that has had an answer."""
    reader, writer = await connect(pilot)
    if after:
        writer.write(after)
        assert (await reader.readuntil(b"\r\n\r\n1")).startswith(b"HTTP/1.1 200")
    writer.write(part)
    answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 408 ") if part.strip() else answer == b""
    writer.close()


async def test_a_head_that_trickles_is_closed(pilot: Served) -> None:
    """Each byte comes soon; the head does not."""
    reader, writer = await connect(pilot)

    async def trickle() -> None:
        for byte in b"GET /size HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 10_000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.2)

    trickling = asyncio.create_task(trickle())
    assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")
    trickling.cancel()
    writer.close()


@pytest.mark.parametrize("framing", [b"content-length: 99", b"content-length: 1000000", b"transfer-encoding: chunked"])
@pytest.mark.parametrize("pace", [0, 5])
async def test_a_body_that_does_not_come_is_given_up(pilot: Served, framing: bytes, pace: int) -> None:
    """``pace``: bytes per second, below body_rate."""
    reader, writer = await connect(pilot)
    writer.write(HEAD % (b"/size", framing) + (b"1\r\nx\r\n" if b"chunked" in framing else b"x"))

    async def trickle() -> None:
        while pace:
            await asyncio.sleep(1 / pace)
            writer.write(b"1\r\nx\r\n" if b"chunked" in framing else b"x")

    trickling = asyncio.create_task(trickle())
    assert (await rest(reader)).startswith(b"HTTP/1.1 408 ")
    trickling.cancel()
    writer.close()


async def test_a_body_that_nobody_wants_must_come_as_well(pilot: Served) -> None:
    """Its answer is out already; the connection is not kept for it."""
    reader, writer = await connect(pilot)
    writer.write(HEAD % (b"/early", b"content-length: 1000000") + b"x")
    answer = await rest(reader)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"before the body")
    writer.close()


@pytest.mark.parametrize("framing", [b"content-length: 1200", b"content-length: 102400", b"transfer-encoding: chunked"])
async def test_an_honest_slow_upload_comes_whole(pilot: Served, framing: bytes) -> None:
    """It takes longer than any of the times, and has pauses."""
    reader, writer = await connect(pilot)
    writer.write(HEAD % (b"/size", framing))
    size = 102400 if b"102400" in framing else 1200
    for _ in range(8):
        await asyncio.sleep(0.4)
        part = b"x" * (size // 8)
        writer.write(b"%x\r\n%b\r\n" % (len(part), part) if b"chunked" in framing else part)
    if b"chunked" in framing:
        writer.write(b"0\r\n\r\n")
    answer = await reader.readuntil(b"%d" % size)
    assert answer.startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_a_client_is_not_blamed_for_the_worker(pilot: Served) -> None:
    """The worker reads late, or answers long; the client has done what it could, or waits to be told to."""
    reader, writer = await connect(pilot)
    writer.write(HEAD % (b"/later", b"content-length: 3000000") + b"x" * 1_500_000)
    await asyncio.sleep(2.5)
    writer.write(b"x" * 1_500_000)
    assert (await reader.readuntil(b"3000000")).startswith(b"HTTP/1.1 200 ")
    writer.write(HEAD % (b"/later", b"content-length: 70000\r\nexpect: 100-continue"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"x" * 70_000)
    assert (await reader.readuntil(b"70000")).startswith(b"HTTP/1.1 200 ")
    assert await pilot.ask("/slowly") == (200, "x" * 6)
    writer.close()


async def test_an_answer_that_is_not_taken_is_given_up(pilot: Served) -> None:
    before = int((await pilot.ask("/closed"))[1])
    reader, writer = await connect(pilot)
    writer.transport.pause_reading()
    writer.write(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n")
    async with asyncio.timeout(30):
        while int((await pilot.ask("/closed"))[1]) == before:
            await asyncio.sleep(0.1)
    writer.close()
    assert reader is not None


async def test_zero_is_for_ever(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, "[pilot]\nhead_timeout = 0\nbody_timeout = 0\nanswer_timeout = 0\n")
    async with serving(tmp_path) as pilot:
        reader, writer = await connect(pilot)
        for part in (b"POST /size HTTP/1.1\r\n", b"host: localhost\r\ncontent-length: 2\r\n\r\n", b"x", b"y"):
            await asyncio.sleep(1.5)
            writer.write(part)
        assert (await reader.readuntil(b"\r\n\r\n2")).startswith(b"HTTP/1.1 200 ")
        writer.close()
