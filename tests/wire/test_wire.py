"""Two channels on a real socketpair: calls, streams, windows, and every way to leave."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from runtime.wire import UNLIMITED, Channel, ChannelClosed, RemoteError, RemoteStream
from runtime.wire.protocol import CANCEL


class Source:
    """Counts, and remembers that it was closed."""

    def __init__(self, items: int = 1_000_000, fail: Exception | None = None) -> None:
        self.items, self.fail, self.given, self.closed = items, fail, 0, False

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> int:
        if self.given == self.items:
            raise self.fail or StopAsyncIteration
        self.given += 1
        await asyncio.sleep(0)
        return self.given

    async def aclose(self) -> None:
        self.closed = True


class Peer:
    """The far end: what its handlers do, by the name of the operation."""

    def __init__(self) -> None:
        self.channel: Channel
        self.source = Source()
        self.cancelled = asyncio.Event()
        self.noted: list[Any] = []

    async def handle(self, op: str, args: list[Any]) -> Any:
        if op == "wait":
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        if op == "offer":
            return self.channel.offer(self.source)
        if op == "adopt":
            return self.channel.adopt(*args) is self.source
        if op == "read":
            return [item async for item in self.channel.read(*args)]
        if op == "raise":
            raise ERRORS[args[0]]()
        if op == "unspeakable":
            return object()
        return args


class Named(Exception):
    name, fields = "AiError", {"code": 3040}  # noqa: RUF012


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Odd(Exception):
    fields = {"what": object()}  # noqa: RUF012


ERRORS: dict[str, Callable[[], Exception]] = {
    "named": lambda: Named("gone"), "plain": lambda: KeyError("x"), "import": lambda: ImportError("no", name="numpy"),
    "surrogate": lambda: ValueError("\udc80"), "mute": Mute, "odd": lambda: Odd("odd"),
}  # fmt: skip
Pair = tuple[Channel, Peer]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    near, far = socket.socketpair()
    peer = Peer()
    peer.channel = await Channel.open(far, peer.handle, on_note=lambda op, args: peer.noted.append([op, *args]))
    channel = await Channel.open(near, peer.handle)
    yield channel, peer
    await asyncio.gather(channel.aclose(), peer.channel.aclose())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def _exhaust(stream: RemoteStream) -> None:
    async for _ in stream:
        pass


async def test_calls_answer_whatever_their_order(pair: Pair) -> None:
    channel, _ = pair
    answers = await asyncio.gather(*(channel.call("echo", n, {"deep": [None, 1.5, "é", b"\0"]}) for n in range(200)))
    assert answers == [[n, {"deep": [None, 1.5, "é", b"\0"]}] for n in range(200)]


async def test_a_large_frame_crosses_whole_and_a_larger_one_is_refused_at_home(pair: Pair) -> None:
    channel, _ = pair
    large = b"x" * (20 * 1024 * 1024)
    assert (await channel.call("echo", large))[0] == large
    with pytest.raises(ValueError, match="send it as a stream"):
        await channel.call("echo", b"x" * (65 * 1024 * 1024))
    assert await channel.call("echo", 1) == [1]


@pytest.mark.parametrize(("kind", "name", "text", "fields"), [
    ("named", "AiError", "gone", {"code": 3040}), ("plain", "KeyError", "'x'", {}),
    ("import", "ImportError", "no", {}), ("surrogate", "ValueError", "('\\udc80',)", {}),
    ("mute", "Mute", "()", {}), ("odd", "Odd", "('odd',)", {}),
])  # fmt: skip
async def test_errors_cross_with_name_text_and_fields(
    pair: Pair, kind: str, name: str, text: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(RemoteError) as caught:
        await pair[0].call("raise", kind)
    assert (caught.value.name, caught.value.message, caught.value.fields) == (name, text, fields)


async def test_an_answer_that_cannot_be_told_is_an_error_not_silence(pair: Pair) -> None:
    with pytest.raises(RemoteError, match="TypeError"):
        await pair[0].call("unspeakable")


async def test_cancelling_the_caller_cancels_the_handler(pair: Pair) -> None:
    channel, peer = pair
    call = asyncio.create_task(channel.call("wait"))
    await channel.call("echo")
    call.cancel()
    async with asyncio.timeout(30):
        await peer.cancelled.wait()


async def test_a_call_and_its_cancellation_in_one_frame_leave_nothing(pair: Pair) -> None:
    channel, peer = pair
    call = asyncio.create_task(channel.call("wait"))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    await channel.call("echo")
    assert len(peer.channel._serving) <= 1  # the echo's, at most


async def test_notes_arrive_in_order(pair: Pair) -> None:
    channel, peer = pair
    for number in range(3):
        channel.note("said", number)
    await channel.call("echo")
    assert peer.noted == [["said", 0], ["said", 1], ["said", 2]]


async def test_a_stream_is_read_to_its_end(pair: Pair) -> None:
    channel, peer = pair
    peer.source = Source(500)
    assert [item async for item in channel.read(await channel.call("offer"))] == list(range(1, 501))
    await until(lambda: peer.source.closed)


async def test_streams_go_both_ways(pair: Pair) -> None:
    channel, _ = pair
    source = Source(5)
    assert await channel.call("read", channel.offer(source)) == [1, 2, 3, 4, 5]
    assert source.closed


async def test_a_source_that_fails_says_so_after_its_last_item(pair: Pair) -> None:
    channel, peer = pair
    peer.source = Source(2, fail=Named("gone"))
    stream = channel.read(await channel.call("offer"))
    assert [await anext(stream), await anext(stream)] == [1, 2]
    with pytest.raises(RemoteError, match="AiError: gone"):
        await anext(stream)


async def test_nothing_is_pulled_before_someone_reads(pair: Pair) -> None:
    channel, peer = pair
    stream = channel.read(await channel.call("offer"))
    await channel.call("echo")
    assert (peer.source.given, stream.started) == (0, False)


async def test_a_source_is_never_further_ahead_than_the_window(pair: Pair) -> None:
    channel, peer = pair
    stream = channel.read(await channel.call("offer"), window=8)
    for read in range(1, 50):
        assert await anext(stream) == read
        await asyncio.sleep(0.002)
        assert peer.source.given <= read + 8 + 1


async def test_a_slow_reader_takes_what_is_there_at_once(pair: Pair) -> None:
    channel, peer = pair
    peer.source = Source(100)
    stream = channel.read(await channel.call("offer"), UNLIMITED)
    assert await anext(stream) == 1
    await until(lambda: peer.source.closed)
    await channel.call("echo")
    assert stream.take_ready() == list(range(2, 101))
    assert [item async for item in stream] == []


async def test_leaving_a_stream_closes_its_source(pair: Pair) -> None:
    channel, peer = pair
    async with aclosing(channel.read(await channel.call("offer"))) as stream:
        assert await anext(stream) == 1
    await until(lambda: peer.source.closed)
    assert [item async for item in stream] == []


async def test_reading_and_leaving_in_one_frame_closes_the_source_all_the_same(pair: Pair) -> None:
    channel, peer = pair
    stream = channel.read(await channel.call("offer"))
    first = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    stream.drop()
    await asyncio.wait([first])
    assert isinstance(first.exception(), StopAsyncIteration)
    await until(lambda: peer.source.closed)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_forgotten_stream_closes_its_source(pair: Pair, begun: bool) -> None:
    channel, peer = pair
    stream = channel.read(await channel.call("offer"))
    if begun:
        await anext(stream)
    del stream
    gc.collect()
    await until(lambda: peer.source.closed)


async def test_a_reader_that_waits_is_not_forgotten(pair: Pair) -> None:
    channel, peer = pair
    more: asyncio.Queue[int] = asyncio.Queue()

    async def source() -> AsyncIterator[int]:
        while True:
            yield await more.get()

    number, found = channel.offer(source()), []

    async def follow() -> None:
        async for item in peer.channel.read(number):
            found.append(item)  # noqa: PERF401

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.01)
    gc.collect()
    more.put_nowait(7)
    await until(lambda: found == [7])
    following.cancel()


async def test_a_stream_handed_back_is_the_very_source(pair: Pair) -> None:
    channel, peer = pair
    number = await channel.call("offer")
    channel.read(number).release()
    assert await channel.call("adopt", number)
    assert not await channel.call("adopt", number)
    assert not peer.source.closed


async def test_a_stream_that_is_gone_is_an_error_not_silence(pair: Pair) -> None:
    channel, peer = pair
    number = await channel.call("offer")
    peer.channel.discard(number)
    with pytest.raises(RemoteError, match="the stream is gone"):
        await anext(channel.read(number))
    assert peer.source.closed


async def test_a_stream_whose_answer_nobody_waits_for_is_closed(pair: Pair) -> None:
    channel, peer = pair
    call = asyncio.create_task(channel.call("offer"))
    while not peer.channel._offers:
        await asyncio.sleep(0)
    call.cancel()  # the answer is on its way
    await until(lambda: peer.source.closed)


async def test_an_answer_that_is_not_heard_ends_no_stream_offered_to_somebody_else(pair: Pair) -> None:
    """What is passed on while a call is served is not the answer to that, whatever its number is."""
    channel, peer = pair
    near, far = socket.socketpair()
    third = await Channel.open(near, lambda op, args: peer.handle("echo", [channel.offer(source)]))
    asker, source = await Channel.open(far, peer.handle), Source(3)
    [number] = await asker.call("pass on")
    peer.channel.send([CANCEL, 1])  # of a call of that number, long answered
    assert await peer.channel.call("echo") == []
    assert [item async for item in peer.channel.read(number)] == [1, 2, 3]
    await asyncio.gather(third.aclose(), asker.aclose())


async def test_a_peer_that_goes_ends_everything(pair: Pair) -> None:
    channel, peer = pair
    source = Source()
    channel.offer(source)
    waiting = asyncio.create_task(channel.call("wait"))
    stream = channel.read(await channel.call("offer"))
    await anext(stream)
    await peer.channel.aclose()
    with pytest.raises(ChannelClosed):
        await waiting
    with pytest.raises(ChannelClosed):
        await _exhaust(stream)
    assert peer.cancelled.is_set()
    await until(lambda: source.closed and peer.source.closed)


async def test_a_closed_channel_answers_at_once(pair: Pair) -> None:
    channel, peer = pair
    await peer.channel.aclose()
    async with asyncio.timeout(30):
        await channel.closed.wait()
        with pytest.raises(ChannelClosed):
            await channel.call("echo")
        with pytest.raises(ChannelClosed):
            await anext(channel.read(99))
        source = Source()
        channel.offer(source)
        await until(lambda: source.closed)
        channel.note("into the void")


@pytest.mark.parametrize("nonsense", [
    b"\xff\xff\xff\x7f", b"\x01\0\0\0\xc1", b"\x01\0\0\0\x05", b"\x02\0\0\0\x91\x01", b"\x03\0\0\0\x92\x01\x05",
    b"\x04\0\0\0\x93\0\x01\x80", b"\xe8\x03\0\0" + b"\x91" * 1000,
])  # fmt: skip
async def test_a_peer_that_talks_nonsense_is_hung_up_on(nonsense: bytes) -> None:
    ours, theirs = socket.socketpair()
    channel = await Channel.open(ours, Peer().handle)
    with theirs:
        theirs.sendall(nonsense)
        async with asyncio.timeout(30):
            await channel.closed.wait()


async def test_closing_does_not_wait_for_a_peer_that_reads_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.wire.channel._CLOSE_GRACE_S", 0.3)
    ours, theirs = socket.socketpair()
    channel = await Channel.open(ours, Peer().handle)
    with theirs:
        channel.note("much", b"x" * (8 * 1024 * 1024))
        async with asyncio.timeout(30):
            await channel.aclose()
