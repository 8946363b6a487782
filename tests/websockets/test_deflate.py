"""permessage-deflate: with clients and servers of another make, on and off, and with what is made to burst."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as some
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame, Opcode

from runtime.supervisor.sockets import deflate, frames
from runtime.supervisor.sockets.asked import deflates
from runtime.supervisor.sockets.ends import Content, Violation
from serving import Served, connect, serving, write
from socket_servers import echoing, opening

WORKER = (Path(__file__).parent / "sockets_worker.py").read_text()
ASKS = "GET /echo HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
WITHOUT = "; server_no_context_takeover; client_no_context_takeover"
MB = 1 << 20
LARGE = json.dumps([{"number": number, "text": "the same again"} for number in range(400)])


@settings(deadline=None)
@given(
    some.text(some.characters(exclude_categories=["Cs"]), max_size=2000) | some.binary(max_size=2000), some.booleans()
)
def test_what_one_deflates_the_other_inflates(content: Content, fragments: bool) -> None:
    """Ours to ``websockets``, and back in one frame or two."""
    other = PerMessageDeflate(True, True, 15, 10)
    payload = content.encode() if isinstance(content, str) else content
    sent = frames.message(content, False, deflate.Deflate(10))
    if sent[0] & 0x40:
        packed = sent[4:] if sent[1] == 126 else sent[2:]
        assert other.decode(Frame(Opcode.BINARY, packed, rsv1=True)).data == payload
    else:
        assert sent == frames.message(content, False)
    kind = Opcode.TEXT if isinstance(content, str) else Opcode.BINARY
    cut = len(payload) // 2 if fragments else len(payload)
    reader = frames.Reader(False, 1 << 20, True)
    reader.feed(Frame(kind, payload[:cut], not fragments).serialize(mask=False, extensions=[other]))
    if fragments:
        reader.feed(Frame(Opcode.CONT, payload[cut:]).serialize(mask=False, extensions=[other]))
    assert reader.next() == (frames.MESSAGE, content)


@pytest.mark.parametrize(("payload", "first", "code"), [
    (b"\xff\xff\xff", 0xC2, 1007), (b"x", 0xC9, 1002), (b"x", 0xE1, 1002), (b"x", 0xC0, 1002),
    (PerMessageDeflate(True, True, 15, 15).encode(Frame(Opcode.TEXT, b"\xff" * 900)).data, 0xC1, 1007),
    (PerMessageDeflate(True, True, 15, 15).encode(Frame(Opcode.TEXT, b"x" * 1001)).data, 0xC1, 1009),
])  # fmt: skip
def test_what_may_not_be_sent(payload: bytes, first: int, code: int) -> None:
    reader = frames.Reader(False, 1000, True)
    reader.feed(bytes((first, len(payload))) + payload)
    with pytest.raises(Violation) as caught:
        reader.next()
    assert caught.value.code == code


def test_which_workers_speak_it() -> None:
    """As upstream: since a date, and by flag."""
    for date, flags, on in (
        (None, (), True), ("2023-08-14", (), False), ("2023-08-15", (), True),
        ("2023-08-14", ("web_socket_compression",), True), ("2026-01-01", ("no_web_socket_compression",), False),
    ):  # fmt: skip
        assert deflates(date, flags) == on


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("deflate")
    write(folder, WORKER)
    async with serving(folder) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("offer", "answer"), [
    ("permessage-deflate", WITHOUT), ("permessage-deflate; client_max_window_bits", WITHOUT),
    ("permessage-deflate; server_max_window_bits=10", WITHOUT + "; server_max_window_bits=10"),
    ("permessage-deflate; bogus=1, permessage-deflate", WITHOUT), ("foo", None), ("permessage-deflate; bogus=1", None),
    ("permessage-deflate; server_max_window_bits=7", None), ("=;=", None),
])  # fmt: skip
async def test_offers(pilot: Served, offer: str, answer: str | None) -> None:
    reader, writer = await connect(pilot)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write((ASKS + f"sec-websocket-extensions: {offer}\r\nsec-websocket-key: {key}\r\n\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    found = [line for line in head.split("\r\n") if line.startswith("sec-websocket-extensions")]
    assert found == ([] if answer is None else [f"sec-websocket-extensions: permessage-deflate{answer}"])
    writer.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("window", [9, 12, 15])
async def test_messages_go_both_ways(pilot: Served, window: int) -> None:
    offer = ClientPerMessageDeflateFactory(server_max_window_bits=window)
    async with opening(f"{pilot.url}/echo", compression=None, extensions=[offer]) as socket:
        for message in (LARGE, LARGE.encode(), "short", "", b"", os.urandom(10_000), "x" * (MB + 1)):
            await socket.send(message)
            assert await socket.recv() == message
        assert socket.protocol.extensions


@pytest.mark.asyncio(loop_scope="module")
async def test_one_that_bursts_ends_its_socket_and_no_more(pilot: Served) -> None:
    """Sixty-four megabytes of nothing are as many kilobytes on the line."""
    before = psutil.Process(pilot.process.pid).memory_info().rss
    async with opening(f"{pilot.url}/echo") as other, opening(f"{pilot.url}/echo") as socket:
        await socket.send(bytes(64 * MB))
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, "inflates" in (socket.close_reason or "")) == (1009, True)
        await other.send("still")
        assert await other.recv() == "still"
    assert psutil.Process(pilot.process.pid).memory_info().rss - before < 100 * MB


@pytest.mark.asyncio(loop_scope="module")
async def test_a_server_is_offered_it_where_the_worker_says_so(pilot: Served) -> None:
    async with echoing() as (server, url), opening(f"{pilot.url}/through?to={url}") as socket:
        (asked,) = server.connections
        assert all((asked.protocol.extensions, socket.protocol.extensions))
        await socket.send(LARGE)
        assert await socket.recv() == LARGE
    async with echoing() as (server, url), opening(f"{pilot.url}/through?to={url}", compression=None):
        (asked,) = server.connections
        assert not asked.protocol.extensions


@pytest.mark.asyncio(loop_scope="module")
async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    write(tmp_path, WORKER, 'compatibility_flags = ["no_web_socket_compression"]\n')
    async with (
        serving(tmp_path) as running, echoing() as (server, url), opening(f"{running.url}/through?to={url}") as socket,
    ):  # fmt: skip
        (asked,) = server.connections
        assert not any((asked.protocol.extensions, socket.protocol.extensions))
        await socket.send(LARGE)
        assert await socket.recv() == LARGE
