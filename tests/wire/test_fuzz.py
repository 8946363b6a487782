"""Frames cut, joined, forged, repeated and out of order: whatever comes, the channel lives or is ended by name, within
its bounds, and what another isolate asks is answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from runtime.wire import Channel, ChannelClosed, GuardedChannel, RemoteError
from runtime.wire.credit import Credit
from runtime.wire.protocol import CALL, ITEM, PULL

pytestmark = pytest.mark.unit
CREDIT = Credit(calls=20, streams=10, held=200_000, values=2_000, message=100_000, message_values=1_000, depth=10)
NUMBER = some.integers(-12, 12) | some.integers() | some.none() | some.text(max_size=3)
VALUE = some.recursive(
    some.none() | some.integers(-(2**63), 2**63 - 1) | some.text(max_size=9) | some.binary(max_size=2_000),
    lambda inner: some.lists(inner, max_size=9) | some.dictionaries(some.text(max_size=3), inner, max_size=4),
    max_leaves=9,
)
LIKELY = (
    some.builds(lambda number, op, args: [CALL, number, op, args], some.integers(1, 30),
                some.sampled_from(["echo", "wait", "offer", "read", "nothing"]), some.lists(VALUE, max_size=3))
    | some.builds(lambda number, item: [ITEM, number, item], some.integers(-9, 9), some.binary(max_size=99))
    | some.builds(lambda number, credit: [PULL, number, credit], some.integers(1, 9), some.integers(-1, 40))
)  # fmt: skip
FRAME = LIKELY | some.lists(some.integers(0, 10) | NUMBER | VALUE, max_size=6).map(list)
MESSAGES = some.lists(some.lists(FRAME, max_size=12) | some.binary(max_size=60), min_size=1, max_size=12)


class Ours:
    """The supervisor's end, with handlers of every kind."""

    def __init__(self) -> None:
        self.channel: GuardedChannel
        self.why: list[str] = []

    async def handle(self, op: str, args: list[Any]) -> Any:
        if op == "wait":
            await asyncio.Event().wait()
        if op == "offer":
            return self.channel.offer(_numbers())
        if op == "read":
            return [item async for item in self.channel.read(args[0])]
        if op == "nothing":
            raise LookupError(op)
        return args


async def _numbers() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 500
        await asyncio.sleep(0)


def _bytes(message: list[Any] | bytes) -> bytes:
    try:
        body = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
    except (OverflowError, UnicodeEncodeError):  # no msgpack could hold it
        return b""
    return len(body).to_bytes(4, "little") + body


async def _attack(messages: list[list[Any] | bytes], cuts: list[int]) -> None:
    ours, other = Ours(), Ours()
    mine, theirs = socket.socketpair()
    near, far = socket.socketpair()
    ours.channel = await GuardedChannel.guard(mine, ours.handle, ours.why.append, CREDIT)
    other.channel = await GuardedChannel.guard(near, other.handle, other.why.append, CREDIT)
    honest = await Channel.open(far, other.handle)
    asked = asyncio.create_task(_asked(ours.channel))
    theirs.setblocking(False)
    await _sent(theirs, b"".join(map(_bytes, messages)), cuts)
    assert await honest.call("echo", 1) == [1]
    await asyncio.sleep(0)
    channel = ours.channel
    assert len(ours.why) == (channel.excess is not None)
    assert len(channel._serving) <= CREDIT.calls
    assert len(channel._offers) <= CREDIT.streams + 1
    assert channel.excess is not None or 0 <= channel.held <= CREDIT.held
    theirs.close()
    async with asyncio.timeout(30):
        await channel.closed.wait()
        await channel.aclose()
        await asked
        assert await honest.call("echo", 2) == [2]
        await asyncio.gather(honest.aclose(), other.channel.aclose())
    assert not channel._serving
    assert channel.held == 0
    assert other.why == []


async def _asked(channel: GuardedChannel) -> None:
    """A call and a stream that the peer may answer, or not."""
    with suppress(ChannelClosed, RemoteError):
        await channel.call("x")
    with suppress(ChannelClosed, RemoteError):
        async for _ in channel.read(1, window=4):
            pass


async def _sent(sock: socket.socket, data: bytes, cuts: list[int]) -> None:
    """In pieces of these sizes."""
    at, sizes = 0, iter(cuts)
    with suppress(OSError):
        while at < len(data):
            size = next(sizes, len(data))
            await asyncio.get_running_loop().sock_sendall(sock, data[at : at + size])
            at += size
            await asyncio.sleep(0)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MESSAGES, some.lists(some.integers(1, 300), max_size=30))
@example([[[CALL, 0]]], [])
def test_whatever_comes(messages: list[list[Any] | bytes], cuts: list[int]) -> None:
    asyncio.run(_attack(messages, cuts))
