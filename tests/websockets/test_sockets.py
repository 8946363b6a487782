"""A worker's sockets as a client of another make sees them: every path is a function of sockets_worker.py."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from serving import Served, connect, raw, serving, write
from socket_servers import opening

WORKER = (Path(__file__).parent / "sockets_worker.py").read_text()
ASKS = "GET /{path} HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
MB = 1 << 20

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("sockets")
    write(folder, WORKER, "[pilot]\nanswer_timeout = 5\n")
    async with serving(folder) as running:
        yield running


async def test_messages_go_both_ways(pilot: Served) -> None:
    async with opening(f"{pilot.url}/echo") as socket:
        for message in ("text", "", "ünï €", b"", b"\x00\xff", "x" * 126, "y" * 70_000, os.urandom(3 * MB)):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send(["frag", "men", "", "ted"])
        assert await socket.recv() == "fragmented"
        for number in range(500):
            await socket.send(f"{number}")
        assert [await socket.recv() for _ in range(500)] == [f"{number}" for number in range(500)]
        await asyncio.wait_for(await socket.ping(b"alive?"), 10)


async def test_the_largest_message(pilot: Served) -> None:
    async with opening(f"{pilot.url}/echo") as socket:
        await socket.send(largest := bytes(32 * MB))
        assert await socket.recv() == largest
    for too_large in (bytes(32 * MB + 1), [bytes(20 * MB), bytes(20 * MB)]):
        async with opening(f"{pilot.url}/says") as socket:
            with pytest.raises(ConnectionClosed) as caught:  # noqa: PT012 (whichever of the two hears of it)
                await socket.send(too_large)
                await socket.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009
    await pilot.says("error Message is too large")
    await pilot.says("closed 1006 Message is too large")


async def test_what_is_said_before_the_answer_comes_first(pilot: Served) -> None:
    async with opening(f"{pilot.url}/first") as socket:
        assert [await socket.recv() for _ in range(4)] == ["0", "1", "2", "later"]


async def test_kinds_of_messages(pilot: Served) -> None:
    async with opening(f"{pilot.url}/kinds") as socket:
        await socket.send(b"\x01\x02\x03")
        assert await socket.recv() == "blob 3 0102"
        await socket.send(b"\x01\x02\x04")
        assert await socket.recv() == "buffer 3 0102 4"
        await socket.send("all")
        said = [await socket.recv() for _ in range(9)]
        assert said == ["5", "1.5", "2", "undefined", "true", b"ab", b"c", b"de", "é�"]


async def test_events_tell_of_themselves(pilot: Served) -> None:
    async with opening(f"{pilot.url}/says") as socket:
        await socket.send("x")
        assert await socket.recv() == "message True None 1 True False"
        await socket.close(4321, "grund")
        assert (socket.close_code, socket.close_reason) == (4321, "grund")
    await pilot.says("closed 4321 grund True 3")
    async with opening(f"{pilot.url}/says") as socket:
        await socket.close()
    await pilot.says("closed 1000  True")


async def test_a_client_that_goes_without_a_word(pilot: Served) -> None:
    async with opening(f"{pilot.url}/says") as socket:
        await socket.send("x")
        await socket.recv()
        socket.transport.abort()
    await pilot.says("closed 1006 WebSocket disconnected without sending Close frame. False")


@pytest.mark.parametrize(("asked", "code", "reason"), [
    ("1000 bye", 1000, "bye"), ("1000", 1000, ""), ("4999 ünï", 4999, "ünï"), ("3000", 3000, ""),
    ("1011 broken", 1011, "broken"),
])  # fmt: skip
async def test_the_worker_closes(pilot: Served, asked: str, code: int, reason: str) -> None:
    since = len(pilot.events)
    async with opening(f"{pilot.url}/closes") as socket:
        await socket.send(asked)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (code, reason)
    await pilot.says(f"closed {code} {reason} True", since=since)
    await pilot.says("refused: Can't call WebSocket send() after close().", since=since)


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 5000])
async def test_codes_that_no_frame_has(pilot: Served, code: int) -> None:
    async with opening(f"{pilot.url}/closes") as socket:
        await socket.send(f"{code} x")
        assert await socket.recv() == f"Invalid WebSocket close code: {code}."
        await socket.send("1000 " + "x" * 124)
        assert "longer than 123 bytes" in str(await socket.recv())


async def test_the_last_word_may_be_the_workers(pilot: Served) -> None:
    async with opening(f"{pilot.url}/half") as socket:
        await socket.close(4000)
        assert (socket.close_code, socket.close_reason) == (4000, "done")
    await pilot.says("half 2")


async def test_a_listener_that_fails_fails_alone(pilot: Served) -> None:
    async with opening(f"{pilot.url}/fails") as socket:
        for _ in range(2):
            await socket.send("x")
            assert await socket.recv() == "third"
    for name in ("plain", "slow"):
        await pilot.says(f"ValueError: {name} failed")


async def test_listeners_come_and_go(pilot: Served) -> None:
    async with opening(f"{pilot.url}/once") as socket:
        for message in ("x", "drop", "x"):
            await socket.send(message)
        assert [await socket.recv() for _ in range(3)] == ["once", "every 0", "every 1"]
        await (await socket.ping())


async def test_what_an_event_begins_goes_on_while_the_socket_is_open(pilot: Served) -> None:
    async with opening(f"{pilot.url}/lives") as socket:
        await socket.send("x")
        assert await socket.recv() == "lived"


@pytest.mark.parametrize("case", ["pairs", "misuses"])
async def test_within_a_worker(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held"), pilot.log()


async def test_the_answers_headers_are_the_workers(pilot: Served) -> None:
    asked = {"subprotocols": [Subprotocol("one"), Subprotocol("two")], "compression": None}
    async with opening(f"{pilot.url}/protocol", **asked) as socket:
        assert (socket.subprotocol, socket.response and socket.response.headers["x-told"]) == ("two", "yes")
        assert "sec-websocket-extensions" not in (socket.response.headers if socket.response else "")


@pytest.mark.parametrize(("head", "status", "told"), [
    ("GET /echo HTTP/1.1\r\nhost: a\r\n", 500, 'did not contain the header "Upgrade: websocket"'),
    (ASKS, 400, "Sec-WebSocket-Key"),
    (ASKS + "sec-websocket-key: dGhlIHNhbXBsZQ==\r\n", 400, "Sec-WebSocket-Key"),
    (ASKS.replace("13", "8"), 426, "Sec-WebSocket-Version"),
    (ASKS.replace("GET", "PUT"), 400, "GET over HTTP/1.1"),
    (ASKS.replace("HTTP/1.1", "HTTP/1.0"), 400, "GET over HTTP/1.1"),
])  # fmt: skip
async def test_an_opening_that_is_none(pilot: Served, head: str, status: int, told: str) -> None:
    """So often that a process which was left alone with its ends would be ended for it."""
    for _ in range(3):
        request = head.format(path="echo") + "connection: close\r\n\r\n"
        answer = (await raw(pilot, request.replace("connection: Upgrade", "x: y").encode())).decode()
        assert answer.startswith(f"HTTP/1.1 {status} "), answer
        assert told in answer
    assert await pilot.ask("/misuses") == (200, "held")


async def test_many_openings_that_fail_leave_nothing(pilot: Served) -> None:
    request = (ASKS.format(path="echo") + "\r\n").encode() * 200
    reader, writer = await connect(pilot)
    writer.write(request + b"GET /misuses HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    answers = await asyncio.wait_for(reader.read(), 60)
    assert (answers.count(b"HTTP/1.1 400 "), answers.count(b"HTTP/1.1 200 ")) == (200, 1)
    writer.close()


async def test_a_client_that_leaves_while_it_is_answered(pilot: Served) -> None:
    """Whether the answer crosses its leaving or not: the worker goes on with others."""
    key = base64.b64encode(os.urandom(16)).decode()
    request = (ASKS.format(path="says") + f"sec-websocket-key: {key}\r\n\r\n").encode()
    for wait in (0, 0.001, 0.003, 0.01) * 10:
        _, writer = await connect(pilot)
        writer.write(request)
        await asyncio.sleep(wait)
        writer.transport.abort()
    async with opening(f"{pilot.url}/echo") as socket:
        await socket.send("still")
        assert await socket.recv() == "still"


@pytest.mark.parametrize(("frames", "code"), [
    (b"\x81\x01x", 1002), (b"\x81\x81\0\0\0\0\xff", 1007), (b"\xc1\x80abcd", 1002), (b"\x83\x80abcd", 1002),
    (b"\x80\x80abcd", 1002), (b"\x09\x80abcd", 1002), (b"\x89\xfe\x00\x7eabcd", 1002), (b"\x88\x81abcda", 1002),
    (b"\x88\x82\0\0\0\0\x03\xed", 1002), (b"\x01\x80abcd\x81\x80abcd", 1002),
    (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffabcd", 1009),
])  # fmt: skip
async def test_frames_that_are_none(pilot: Served, frames: bytes, code: int) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    reader, writer = await connect(pilot)
    writer.write((ASKS.format(path="echo") + f"sec-websocket-key: {key}\r\n\r\n").encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(frames)
    answer = await asyncio.wait_for(reader.read(), 20)
    assert (answer[:1], int.from_bytes(answer[2:4], "big")) == (b"\x88", code)
    writer.close()


async def test_a_client_that_does_not_read_loses_its_socket(pilot: Served) -> None:
    before = psutil.Process(pilot.process.pid).memory_info().rss
    since = len(pilot.events)
    async with opening(f"{pilot.url}/flood", max_queue=1, close_timeout=1) as socket:
        await socket.send("100")
        await pilot.says("socket_queue_mb", since=since, within=30)
        await pilot.says("flood 1006", since=since)
        socket.transport.abort()
    assert psutil.Process(pilot.process.pid).memory_info().rss - before < 150 * MB


async def test_a_client_that_takes_nothing_for_long_loses_its_socket(pilot: Served) -> None:
    """Though what waits for it is little: [pilot] answer_timeout says how long."""
    since = len(pilot.events)
    async with opening(f"{pilot.url}/flood", max_queue=1, close_timeout=1) as socket:
        await socket.send("12")
        await pilot.says("flood 1006", since=since, within=40)
        socket.transport.abort()


async def test_a_worker_that_is_slow_holds_its_client_up(pilot: Served) -> None:
    """No more messages are with it at a time than fit a window."""
    async with opening(f"{pilot.url}/slow") as socket:
        for _ in range(3000):
            await socket.send("x" * 100)
        await socket.send("most")
        assert 100 <= int(await socket.recv()) <= 600


async def test_what_is_no_socket_is_an_ordinary_answer(pilot: Served) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with opening(f"{pilot.url}/misuses"):
            pass
    assert caught.value.response.status_code == 200


async def test_each_is_a_request_in_the_log(pilot: Served) -> None:
    async with opening(f"{pilot.url}/echo?in=log"):
        pass
    assert any(
        re.search(r"'path': '/echo'.*'status': 101|'status': 101.*'path': '/echo'", str(line)) for line in pilot.events
    )
