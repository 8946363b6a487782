"""The wire over TCP: who is let in, what is read before, and that it is the same channel afterwards."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from runtime.wire import Channel
from runtime.wire.net import HELLO_BYTES, NAME, Hello, HelloRefused, Identity, dial, listen

IDENTITY, OTHER = Identity.make(), Identity.make()
HELLO = Hello(version="1", token=IDENTITY.token, name="front")


async def echo(op: str, args: list[Any]) -> object:
    return [op, *args]


def count(op: str, args: list[Any]) -> AsyncIterator[int]:
    async def numbers() -> AsyncIterator[int]:
        for number in range(args[0]):
            yield number

    return numbers()


class Listener:
    """``port``; ``heard``: who has been let in, and ``channels`` with them."""

    def __init__(self) -> None:
        self.port, self.heard, self.channels = 0, [], []  # type: ignore[var-annotated]

    def serve(self, hello: Hello) -> Channel:
        self.heard.append(hello.name)
        self.channels.append(Channel(echo, sources=count))
        return self.channels[-1]


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    server = await listen(IDENTITY, "1", listener.serve, "127.0.0.1")
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for channel in listener.channels:
            await channel.aclose()


async def dialled(port: int, hello: Hello = HELLO, certificate: str = IDENTITY.certificate) -> Channel:
    return await dial("127.0.0.1", port, certificate, hello, lambda: Channel(echo))


async def test_calls_and_streams_as_on_a_socketpair() -> None:
    async with listening() as there:
        channel = await dialled(there.port)
        assert await channel.call("op", 1, "two") == ["op", 1, "two"]
        assert [item async for item in channel.ask("count", 1000)] == list(range(1000))
        assert len(await channel.call("op", "x" * 5_000_000)) == 2
        assert there.heard == ["front"]
        await channel.aclose()
        async with asyncio.timeout(10):
            await there.channels[0].closed.wait()


async def test_many_at_once_and_one_that_reads_nothing_harms_nobody() -> None:
    async with listening() as there:
        lazy, busy = await dialled(there.port), await dialled(there.port)
        assert lazy._transport is not None
        lazy._transport.pause_reading()
        stuck = [asyncio.create_task(lazy.call("op", "x" * 4_000_000)) for _ in range(8)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(10):
            assert [item async for item in busy.ask("count", 5000)] == list(range(5000))
        for task in stuck:
            task.cancel()
        lazy.abort()
        await busy.aclose()


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        (Hello(version="1", token="wrong"), "the token is wrong"),
        (Hello(version="1", token="\u00fc"), "the token is wrong"),
        (Hello(version="2", token=IDENTITY.token), "here is version 1, there 2"),
    ],
)
async def test_who_is_refused_hears_why(hello: Hello, said: str) -> None:
    async with listening() as there:
        with pytest.raises(HelloRefused, match=said):
            await dialled(there.port, hello)
        assert there.heard == []


async def test_another_certificate_is_not_spoken_to() -> None:
    async with listening() as there:
        with pytest.raises(HelloRefused, match="is not who it should be"):
            await dialled(there.port, certificate=OTHER.certificate)
        assert there.heard == []


async def tls(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=IDENTITY.certificate)
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=NAME)


@pytest.mark.parametrize(
    "sent",
    [
        (HELLO_BYTES + 1).to_bytes(4, "little"),
        b"\xff\xff\xff\x7f" + b"x" * 100,
        (5).to_bytes(4, "little") + b"hello",
        (1).to_bytes(4, "little") + b"\x90",
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    ],
)
async def test_what_is_no_hello_ends_the_connection(sent: bytes) -> None:
    async with listening() as there:
        reader, writer = await tls(there.port)
        writer.write(sent)
        async with asyncio.timeout(10):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert there.heard == []


async def test_silence_ends_it_and_so_does_no_tls() -> None:
    async with listening() as there:
        reader, writer = await tls(there.port)
        plain, other = await asyncio.open_connection("127.0.0.1", there.port)
        other.write(b"\x05\x00\x00\x00hello")
        async with asyncio.timeout(20):
            for each in (reader, plain):
                with suppress(ConnectionError, ssl.SSLError):
                    assert len(await each.read()) < 8, "an alert of TLS at most"
        writer.close()
        other.close()
        assert there.heard == []


async def test_nobody_there() -> None:
    async with listening() as there:
        port = there.port
    with pytest.raises(ConnectionRefusedError):
        await dialled(port)
