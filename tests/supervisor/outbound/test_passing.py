"""A fetched body's chunks on their way past the task that reads them: none is lost, doubled or out of order, a slow
client holds the peer up, and a peer that falls silent is given up."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.supervisor.outbound import FetchError, Outbound, passing
from serving import connect, raw, serving, write

CHUNKS, SIZE = 1_200, 50_000  # more than all sockets on the way hold
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n%b\r\n\r\n"
CHUNKED, TO_THE_END = HEAD % b"transfer-encoding: chunked", HEAD % b"connection: close"
ENTRY = """
from workers import Response, URL, fetch as outbound

async def fetch(request, env, ctx):
    url = URL(request.url)
    stream = (await outbound(f"http://127.0.0.1:{url.searchParams.get('port')}/")).body
    return Response(again(stream) if url.pathname == "/again" else stream)

async def again(stream):
    async for chunk in stream:
        yield chunk
"""
Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def numbered(number: int) -> bytes:
    return b"%08d" % number * (SIZE // 8)


@asynccontextmanager
async def upstream(send: Send) -> AsyncIterator[int]:
    """The port of a server that answers each request, of any number on a connection, by ``send``."""

    writers = set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await send(writer)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            if not writer.is_closing():  # Python 3.11's abort of a transport that has closed itself fails
                writer.transport.abort()
        await asyncio.sleep(0)


async def test_what_comes_while_somebody_waits_goes_to_the_sink() -> None:
    steps: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while piece := await steps.get():
            writer.write(piece)

    outbound, taken = Outbound(), list[bytes]()

    def take(data: bytes) -> bool:
        return data.isdigit() and not taken.append(data)

    async def taken_are(count: int) -> None:
        while len(taken) < count:
            await asyncio.sleep(0.001)

    async with asyncio.timeout(20), upstream(send) as port:
        steps.put_nowait(chunk(b"a"))
        chunks = (await outbound.fetch("GET", f"http://127.0.0.1:{port}/", [])).chunks
        assert await anext(chunks) == b"a"
        chunks.attach_sink(take)
        reader = asyncio.ensure_future(anext(chunks))
        for number in range(3):
            steps.put_nowait(chunk(b"%d" % number))
            await taken_are(number + 1)
        steps.put_nowait(chunk(b"b")[:4])  # half of one goes on too
        assert await reader == b"b"
        steps.put_nowait(chunk(b"b")[4:] + chunk(b"7"))  # nobody waits: it is kept
        await asyncio.sleep(0.05)
        assert (await anext(chunks), taken) == (b"7", [b"0", b"1", b"2"])
        steps.put_nowait(b"0\r\n\r\n")
        assert [piece async for piece in chunks] == []
        await outbound.aclose()


async def test_a_peer_that_falls_silent_is_given_up() -> None:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + chunk(b"a"))
        for _ in range(5):
            await asyncio.sleep(0.1)
            writer.write(chunk(b"b"))
        await asyncio.sleep(30)

    outbound, taken = Outbound(idle=0.3), list[bytes]()
    async with asyncio.timeout(20), upstream(send) as port:
        chunks = (await outbound.fetch("GET", f"http://127.0.0.1:{port}/", [])).chunks
        await anext(chunks)
        chunks.attach_sink(lambda data: not taken.append(data))
        with pytest.raises(FetchError, match="it sends nothing"):
            await anext(chunks)
        assert b"".join(taken) == b"bbbbb"
        await outbound.aclose()


async def test_the_next_answer_on_a_connection_has_a_reader_of_its_own() -> None:
    async def send(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + chunk(b"a"))
        await asyncio.sleep(0.05)
        writer.write(chunk(b"b") + b"0\r\n\r\n")

    outbound, taken = Outbound(), list[bytes]()
    async with asyncio.timeout(20), upstream(send) as port:
        for _ in range(3):
            chunks = (await outbound.fetch("GET", f"http://127.0.0.1:{port}/", [])).chunks
            assert await anext(chunks) == b"a"
            assert await anext(chunks) == b"b"
            assert [piece async for piece in chunks] == []
            chunks = (await outbound.fetch("GET", f"http://127.0.0.1:{port}/", [])).chunks
            await anext(chunks)
            chunks.attach_sink(lambda data: not taken.append(data))
            assert [piece async for piece in chunks] == []
        assert taken == [b"b"] * 3
        await outbound.aclose()


@pytest.mark.parametrize("head", [CHUNKED, TO_THE_END], ids=["chunked", "to the end"])
async def test_a_slow_client_and_a_quick_one_get_the_same(tmp_path: Path, head: bytes) -> None:
    """The slow one reads nothing until the peer is held up by it."""
    sent = 0

    async def send(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(head)
        for number in range(CHUNKS):
            data = numbered(number)
            writer.write(chunk(data) if head is CHUNKED else data)
            await writer.drain()
            sent = number + 1
        if head is CHUNKED:
            writer.write(b"0\r\n\r\n")
        else:
            writer.close()

    expected = hashlib.sha256(b"".join(map(numbered, range(CHUNKS)))).hexdigest()
    write(tmp_path, ENTRY)
    async with asyncio.timeout(60), serving(tmp_path) as pilot, upstream(send) as port:
        for path in ("unread", "again"):
            asked = f"GET /{path}?port={port} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
            assert body_hash(await raw(pilot, asked)) == expected
            reader, writer = await connect(pilot)
            writer.write(asked)
            begun = await reader.read(100)
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            await held_up(lambda: sent)
            assert sent < CHUNKS
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            assert body_hash(begun + await reader.read()) == expected
            writer.close()


async def held_up(progress: Callable[[], int]) -> None:
    before = -1
    while progress() != before:
        before = progress()
        await asyncio.sleep(0.3)


def body_hash(answer: bytes) -> str:
    body, digest, at = answer.partition(b"\r\n\r\n")[2], hashlib.sha256(), 0
    while size := int(body[at : (end := body.index(b"\r\n", at))], 16):
        digest.update(body[end + 2 : end + 2 + size])
        at = end + 4 + size
    return digest.hexdigest()


def test_every_name_of_aiohttps_that_is_used_is_there() -> None:
    """Else chunks take the way through the task: the adapter has to follow."""
    from aiohttp import BaseConnector
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.streams import StreamReader

    loop = asyncio.new_event_loop()
    connection = passing.Connection(loop)
    loop.close()
    assert {"_protocol", "_waiter", "_buffer", "_cursor", "total_bytes"} <= set(StreamReader.__slots__)
    assert {"feed_data", "feed_eof", "end_http_chunk_receiving"} <= set(vars(StreamReader))
    assert {"_reschedule_timeout", "_on_read_timeout"} <= set(vars(ResponseHandler))
    assert {"_read_timeout", "_read_timeout_handle", "_loop"} <= set(dir(connection))
    assert "_factory" in BaseConnector.__init__.__code__.co_names
