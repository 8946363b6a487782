"""Tokens on their way past the reader that waits for them: none is lost, doubled or out of order."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from runtime.wire import Channel, PushSource
from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKENS, WORDS = 20_000, [f"{letter * 200}" for letter in "abcdefg"]
EXPECTED = " ".join(WORDS[number % len(WORDS)] for number in range(TOKENS))
ENTRY = f"""
from workers import Response

async def fetch(request, env, ctx):
    stream = await env.AI.run("talker", {{"prompt": {" ".join(WORDS)!r}, "stream": True, "max_tokens": 100000}})
    return Response(again(stream) if request.url.endswith("/again") else stream)

async def again(stream):
    async for chunk in stream:
        yield chunk
        yield b""  # which must not end the body
"""
MODELS = json.dumps(
    {
        "talker": {
            "context_window": 200_000,
            "engine": "echo",
            "model": "talker",
            "options": {"rate": 20_000, "tokens": TOKENS},
        }
    }
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("worker")
    write(folder, ENTRY, '[ai]\nbinding = "AI"\n', {"models.yaml": MODELS})
    async with serving(folder) as served:
        yield served


def said(body: bytes) -> tuple[str, dict[str, Any]]:
    """The text and the usage of an event stream."""
    events = body.removesuffix(b"data: [DONE]\n\n").decode().removesuffix("\n\n").split("\n\n")
    answers = [json.loads(event.removeprefix("data: ")) for event in events]
    return "".join(answer["response"] for answer in answers), answers[-1]["usage"]


def unchunked(body: bytes) -> bytes:
    pieces, at = [], 0
    while size := int(body[at : (end := body.index(b"\r\n", at))], 16):
        pieces.append(body[end + 2 : end + 2 + size])
        assert body[end + 2 + size : end + 4 + size] == b"\r\n"
        at = end + 4 + size
    assert body[end:] == b"\r\n\r\n"
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("path", "then"), [("/unread", "close"), ("/unread", "keep-alive"), ("/again", "close"), ("/again", "keep-alive")]
)
async def test_a_slow_client_and_a_quick_one_get_the_same(pilot: Served, path: str, then: str) -> None:
    """The slow one reads nothing until the quick one has everything: more than the socket's buffers hold. What is to be
    the last of its connection has a reader from the beginning."""
    host, _, port = pilot.url.removeprefix("http://").rpartition(":")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        await loop.sock_connect(slow, (host, int(port)))
        await loop.sock_sendall(slow, f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: {then}\r\n\r\n".encode())
        begun = await loop.sock_recv(slow, 1000)
        async with pilot.http.get(pilot.url + path) as answer:
            quick = await answer.read()
        received = [begun]
        while not received[-1].endswith(b"\r\n0\r\n\r\n") and (piece := await loop.sock_recv(slow, 1 << 20)):
            received.append(piece)
    slow.close()
    head, _, body = b"".join(received).partition(b"\r\n\r\n")
    assert b"chunked" in head
    for text, usage in (said(quick), said(unchunked(body))):
        assert text == EXPECTED
        assert usage["completion_tokens"] == TOKENS


async def test_an_item_is_diverted_only_past_a_reader_that_waits() -> None:
    near, far = socket.socketpair()
    feed = PushSource(lambda first, second: first + second, lambda: None)

    async def no_calls(op: str, args: list[Any]) -> Any:
        return op

    peer = await Channel.open(far, no_calls, sources=lambda op, args: feed)
    channel = await Channel.open(near, no_calls)
    stream, taken = channel.ask("feed", window=4), list[Any]()
    stream.attach_sink(lambda item: item % 2 == 1 and not taken.append(item))
    feed.put(0)
    await channel.call("echo")
    assert (stream.waiting, taken) == (1, [])
    for number in (1, 3):  # nobody waits: they queue behind the first
        feed.put(number)
    await channel.call("echo")
    assert ([await anext(stream) for _ in range(3)], taken) == ([0, 1, 3], [])
    reader = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
    await channel.call("echo")
    for number in (5, 7, 9, 11, 13, 8, 15):  # more than the window: what is diverted counts as read
        feed.put(number)
        await channel.call("echo")
    assert (await reader, taken) == (8, [5, 7, 9, 11, 13])
    assert await anext(stream) == 15
    await asyncio.gather(channel.aclose(), peer.aclose())


async def test_a_stream_that_is_passed_on_is_diverted_at_every_step() -> None:
    """Two channels in a row, as a token's way is: no task in between is woken for an item."""
    feed, (near, far), (next_near, next_far) = (
        PushSource(lambda first, second: first + second, lambda: None),
        socket.socketpair(),
        socket.socketpair(),
    )

    async def no_calls(op: str, args: list[Any]) -> Any:
        return op

    source = await Channel.open(far, no_calls, sources=lambda op, args: feed)
    middle = await Channel.open(near, no_calls)
    outlet, reader = await Channel.open(next_near, no_calls), await Channel.open(next_far, no_calls)
    passed_on = middle.ask("feed")
    stream = reader.read(outlet.offer(passed_on))
    feed.put("first")
    assert await anext(stream) == "first"
    await reader.call("echo")
    assert passed_on._sink is not None
    feed.put("second")
    assert await anext(stream) == "second"
    await asyncio.gather(*(channel.aclose() for channel in (source, middle, outlet, reader)))
