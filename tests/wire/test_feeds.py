"""Streams that are asked for and written to: what they keep for a slow reader, and every way they end."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from runtime.wire import UNLIMITED, Channel, ChannelClosed, PushSource, RemoteError


class Peer:
    """The far end: a feed for whoever asks for one, an iterator for whoever asks for that."""

    def __init__(self) -> None:
        self.channel: Channel
        self.left = 0
        self.feed = PushSource(lambda first, second: first + second, self._left)
        self.asked = asyncio.Event()

    def source(self, op: str, args: list[Any]) -> AsyncIterator[Any] | PushSource:
        self.asked.set()
        return {"feed": lambda: self.feed, "count": lambda: count(*args)}[op]()

    def _left(self) -> None:
        self.left += 1


async def count(last: int) -> AsyncIterator[int]:
    for number in range(last):
        yield number


async def no_calls(op: str, args: list[Any]) -> Any:
    return op


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Channel, Peer]]:
    near, far = socket.socketpair()
    peer = Peer()
    peer.channel = await Channel.open(far, no_calls, sources=peer.source)
    channel = await Channel.open(near, no_calls)
    yield channel, peer
    await asyncio.gather(channel.aclose(), peer.channel.aclose())


Pair = tuple[Channel, Peer]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_an_iterator_is_asked_for_without_a_call(pair: Pair) -> None:
    channel, _ = pair
    assert [item async for item in channel.ask("count", 100, window=8)] == list(range(100))


async def test_what_is_put_arrives_in_order_and_ends(pair: Pair) -> None:
    channel, peer = pair
    stream = channel.ask("feed", window=UNLIMITED)
    await peer.asked.wait()
    for number in range(5):
        peer.feed.put([number])
    peer.feed.end()
    assert [item async for item in stream] == [[0], [1], [2], [3], [4]]
    assert peer.left == 0


async def test_what_was_put_before_anybody_asked_is_one_item(pair: Pair) -> None:
    channel, peer = pair
    peer.feed.put([1])
    peer.feed.put([2])
    peer.feed.end()
    assert [item async for item in channel.ask("feed")] == [[1, 2]]


async def test_what_a_slow_reader_has_not_asked_for_becomes_one_item(pair: Pair) -> None:
    channel, peer = pair
    stream = channel.ask("feed", window=4)
    await peer.asked.wait()
    for number in range(100):
        peer.feed.put([number])
    peer.feed.end(KeyError("last"))
    await channel.call("echo")
    assert stream.waiting == 4
    assert [await anext(stream) for _ in range(5)] == [[0], [1], [2], [3], list(range(4, 100))]
    with pytest.raises(RemoteError, match="KeyError"):
        await anext(stream)


async def test_leaving_is_told_once(pair: Pair) -> None:
    channel, peer = pair
    async with aclosing(channel.ask("feed")) as stream:
        await peer.asked.wait()
        peer.feed.put([1])
        assert await anext(stream) == [1]
    await until(lambda: peer.left == 1)
    peer.feed.put([2])
    peer.feed.end()
    await channel.aclose()
    await peer.channel.closed.wait()
    assert peer.left == 1


async def test_a_reader_that_is_gone_has_left(pair: Pair) -> None:
    channel, peer = pair
    stream = channel.ask("feed")
    await peer.asked.wait()
    channel.abort()
    await until(lambda: peer.left == 1)
    with pytest.raises(ChannelClosed):
        await anext(stream)
    with pytest.raises(ChannelClosed):
        await anext(channel.ask("feed"))


@pytest.mark.parametrize("ends", [True, False])
async def test_who_is_behind_a_feed_that_is_over_waits_for_no_collector(pair: Pair, ends: bool) -> None:
    channel, peer = pair
    owner = Peer()
    peer.feed = owner.feed
    async with aclosing(channel.ask("feed")) as stream:
        await peer.asked.wait()
        owner.feed.put([1])
        assert await anext(stream) == [1]
        if ends:
            owner.feed.end()
            assert [item async for item in stream] == []
    await channel.call("echo")  # the far end has heard of the leaving
    gone, peer.feed = weakref.ref(owner), PushSource(min, lambda: None)
    gc.disable()
    try:
        del owner
        assert gone() is None
    finally:
        gc.enable()


async def test_a_source_that_cannot_be_had_is_an_error(pair: Pair) -> None:
    channel, peer = pair
    with pytest.raises(RemoteError, match="KeyError"):
        await anext(channel.ask("nothing"))
    with pytest.raises(RemoteError, match="no such stream"):
        await anext(peer.channel.ask("feed"))
