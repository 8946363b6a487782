"""The guarded end of a channel: what an honest peer may send arrives, and who goes beyond is ended and told of."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.msgpack import Ext

from runtime.wire import Channel, GuardedChannel, RemoteError
from runtime.wire.credit import MAX_CHUNK, Credit, CreditExceeded
from runtime.wire.protocol import ASK, CALL, CANCEL, DROP, END, ERROR, ITEM, NOTE, PULL, RESULT, SOCKET, Frame
from runtime.wire.sliced import Join, Slices, count

encode = msgspec.msgpack.encode
holds_up = pytest.mark.skipif(
    (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2),
    reason="writelines of this asyncio holds nobody up (CVE-2024-12254); uvloop, which a supervisor runs on, does",
)
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**64 - 1) | some.floats(allow_nan=False) | some.text()
    | some.binary(max_size=300) | some.builds(Ext, some.integers(1, 100), some.binary(max_size=300)),
    lambda inner: some.lists(inner, max_size=40) | some.dictionaries(some.text(max_size=5), inner, max_size=40),
    max_leaves=200,
)  # fmt: skip
NUMBERS = some.lists(some.integers(-200, 70_000) | some.floats(allow_nan=False) | some.none() | some.booleans(),
                     min_size=16, max_size=500)  # fmt: skip


Frames = Iterable[Frame]


class Ends:
    """A guarded end and a peer that writes what it likes to it. ``why`` it was ended."""

    def __init__(self) -> None:
        self.channel: GuardedChannel
        self.peer: socket.socket
        self.why: list[str] = []
        self.called: list[Any] = []
        self.forever = asyncio.Event()

    async def handle(self, op: str, args: list[Any]) -> Any:
        self.called.append((op, args))
        if op == "wait":
            await self.forever.wait()
        if op == "offer":
            return self.channel.offer(numbers())
        return None

    async def say(self, *frames: Frame, raw: bytes = b"") -> None:
        body = encode(list(frames))
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.peer, raw or len(body).to_bytes(4, "little") + body)

    async def say_all(self, frames: Frames) -> None:
        with suppress(OSError):
            for frame in frames:
                await self.say(frame)

    async def ended(self) -> str:
        async with asyncio.timeout(30):
            await self.channel.closed.wait()
        return self.why[0]


async def numbers() -> AsyncIterator[bytes]:
    while True:
        yield b"x"


@asynccontextmanager
async def ends(**credit: int) -> AsyncIterator[Ends]:
    both, (ours, theirs) = Ends(), socket.socketpair()
    theirs.setblocking(False)
    both.peer = theirs
    both.channel = await GuardedChannel.guard(ours, both.handle, both.why.append, Credit(**credit))
    yield both
    theirs.close()
    await both.channel.aclose()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def decoded(value: object) -> Any:
    slices = Slices(memoryview(encode(value)), Credit())
    for step in slices:
        if isinstance(step, Join):
            step.run()
    return slices.result


@pytest.mark.unit
@given(VALUES | NUMBERS)
def test_slices_give_what_the_decoder_gives(value: object) -> None:
    assert decoded(value) == value


@pytest.mark.unit
@pytest.mark.parametrize("value", [
    b"\xdd" * 3_000_000, "日本語" * 700_000, "a" * 2_000_000, [b"a" * 1_500_000, {"b": "é" * 900_000}], [],
    {str(number): number for number in range(70_000)}, [[number] for number in range(70_000)],
])  # fmt: skip
def test_large_values(value: object) -> None:
    assert decoded(value) == value


@pytest.mark.unit
@given(some.binary(max_size=400))
def test_slices_of_anything_end(content: bytes) -> None:
    try:
        expected = msgspec.msgpack.decode(content)
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
        expected = None
    slices = Slices(memoryview(content), Credit(message_values=1000, depth=20))
    try:
        for _ in slices:
            pass
    except (msgspec.MsgspecError, ValueError, TypeError, LookupError, CreditExceeded):
        return
    assert encode(slices.result) == encode(expected)


async def test_an_honest_peer_notices_nothing() -> None:
    ours, theirs = socket.socketpair()
    why: list[str] = []

    async def handle(op: str, args: list[Any]) -> Any:
        if op == "offer":
            return channel.offer(numbers())
        return args if op == "echo" else [part async for part in channel.read(args[0])]

    async def parts() -> AsyncIterator[bytes]:
        for size in (1, 10, MAX_CHUNK, 300_000) * 20:
            yield bytes(size)

    async def nothing(op: str, args: list[Any]) -> Any:
        if op == "fail":
            raise ValueError("y" * 1_000_000)
        return peer.offer(parts())

    channel = await GuardedChannel.guard(ours, handle, why.append)
    peer = await Channel.open(theirs, nothing)
    large = {"a": b"x" * 20_000_000, "b": [*range(300_000)], "c": "é" * 3_000_000}
    answers = await asyncio.gather(*(peer.call("echo", number) for number in range(1000)), peer.call("echo", large))
    assert answers == [[number] for number in range(1000)] + [[large]]
    assert sum(map(len, await asyncio.gather(*(peer.call("read", peer.offer(parts())) for _ in range(4))))) == 4 * 80
    for _ in range(300):  # streams that are left half-way, calls that nobody waits for, from both ends
        stream = channel.read(await channel.call("give"))
        assert await anext(stream) == b"\0"
        await stream.aclose()
        theirs_ = peer.read(await peer.call("offer"))
        await anext(theirs_)
        await theirs_.aclose()
        asking = asyncio.create_task(channel.call("give"))
        await asyncio.sleep(0)
        asking.cancel()
    with pytest.raises(RemoteError) as caught:
        await channel.call("fail")
    assert len(caught.value.message) < 100_000
    gc.collect()
    await peer.call("echo")
    assert (why, channel.held) == ([], 0)
    await asyncio.gather(channel.aclose(), peer.aclose())


BEYOND: dict[str, tuple[Frames, str]] = {
    "calls": ([[CALL, number, "wait", []] for number in range(101)], "more than 100 calls"),
    "bytes": ([[CALL, number, "wait", [b"x" * 300_000]] for number in range(8)], "more than 2 MiB"),
    "values": ([[CALL, number, "wait", [[0] * 900]] for number in range(6)], "more than 5,000 values in calls"),
    "streams": ([[CALL, number, "offer", []] for number in range(99)], "more than 50 streams"),
    "asks": ([[ASK, -number, "x", [], 1] for number in range(10)], "not for it to send"),
    "notes": ([[NOTE, 0, "x", []]], "not for it to send"),
    "answers": ([[RESULT, number, None] for number in range(200)], "not asked"),
    "errors": ([[ERROR, number, "a", "b", {}] for number in range(200)], "not asked"),
    "items": ([[ITEM, number, b""] for number in range(200)], "not asked"),
    "ends": ([[END, number] for number in range(200)], "not asked"),
    "cancels": ([[CANCEL, number] for number in range(200)], "not asked"),
    "drops": ([[DROP, number] for number in range(200)], "not asked"),
    "pulls": ([[PULL, number, 1] for number in range(200)], "not asked"),
    "one number twice": ([[CALL, 1, "wait", []], [CALL, 1, "wait", []]], "two calls of one number"),
    "much of a stream": ([[PULL, 1, 33]], "32 parts of a stream"),
    "for ever": ([[PULL, 1, -1]], "32 parts of a stream"),
    "sockets it has not": ([[SOCKET, 7, "x"]] * 100, "not asked"),
    "a kind that is none": ([[11, 1, 2]], "not for it to send"),
    "a frame that is none": ([[CALL]], "no message"),
    "a number that is none": ([[CALL, [], "x", []]], "no message"),
    "depth": ([[CALL, 1, "x", msgspec.Raw(b"\x91" * 6000 + b"\xc0")]], "deep"),
    "keys": ([[CALL, 1, "x", [dict.fromkeys(range(2000))]]], "keys that are no text"),
}  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
async def test_who_goes_beyond_is_ended_by_name(name: str) -> None:
    frames, why = BEYOND[name]
    async with ends(calls=100, streams=50, held=2 << 20, values=5000) as both:
        await both.say([CALL, 999, "wait", []])
        await until(lambda: both.called)
        sending = asyncio.create_task(both.say_all(frames))
        assert why in await both.ended()
        await sending
        assert len(both.why) == 1


async def test_a_message_of_too_many_values_is_not_made() -> None:
    async with ends() as both:
        values = b"\xdd" + (2_000_000).to_bytes(4, "big")
        body = b"\x91\x94\x00\x01\xa1x" + values
        await both.say(raw=(len(body) + 2_000_000).to_bytes(4, "little") + body + b"\x90" * 100)
        await asyncio.sleep(0)
        with suppress(OSError):
            while not both.channel.closed.is_set():
                await both.say(raw=b"\x90" * 100_000)
        assert "more than 1,000,000 values" in await both.ended()


async def test_more_of_a_stream_than_was_asked_for() -> None:
    async with ends() as both:
        stream = both.channel.read(7, window=4)
        reading = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        await both.say(*[[ITEM, 7, b"x"]] * 6)
        assert "more of a stream" in await both.ended()
        await asyncio.wait([reading])


@pytest.mark.parametrize("item", ["text", b"x" * (MAX_CHUNK + 1), None, 3])
async def test_a_part_of_a_stream_that_is_none(item: object) -> None:
    async with ends() as both:
        stream = both.channel.read(7)
        reading = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        await both.say([ITEM, 7, item])
        assert "part of a stream" in await both.ended()
        await asyncio.wait([reading])


@holds_up
async def test_a_peer_that_does_not_read_holds_its_streams_up_and_is_ended_at_last() -> None:
    async with ends(unread=3 << 20) as both:
        given = 0

        async def source() -> AsyncIterator[bytes]:
            nonlocal given
            while True:
                given += 1
                yield bytes(200_000)

        number = both.channel.offer(source())
        await both.say([PULL, number, 32])
        await until(lambda: both.channel.congested)
        await asyncio.sleep(0.05)
        assert given <= 20  # of the 32 that it asked for
        for _ in range(40):
            both.channel.note("x", bytes(100_000))
            await asyncio.sleep(0)
        assert "does not read" in await both.ended()


@holds_up
async def test_others_have_their_turn_while_one_sends_without_end() -> None:
    async with ends() as busy, ends() as other:
        small = encode([[CALL, 1, "x", []]])
        flood = b"".join(
            len(body).to_bytes(4, "little") + body
            for body in (encode([[CALL, number, "x", []]]) for number in range(20_000))
        )
        sending = asyncio.create_task(busy.say(raw=flood))
        for number in range(20):
            await other.say(raw=len(small).to_bytes(4, "little") + small)
            await until(lambda wanted=number + 1: len(other.called) >= wanted)  # type: ignore[misc]
            assert len(busy.called) < 20_000
        await sending
        await until(lambda: len(busy.called) == 20_000)
        assert busy.called == [("x", [])] * 20_000


def test_values_are_counted() -> None:
    assert [count(value) for value in (1, [], [1, [2]], {"a": [1]}, {})] == [0, 0, 3, 3, 0]
