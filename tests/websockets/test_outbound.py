"""Sockets that a worker asks another server for: accepted, relayed, and returned unread."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from families import running
from serving import Served, serving, write
from socket_servers import ServerConnection, echoing, opening

WORKER = (Path(__file__).parent / "sockets_worker.py").read_text()

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("outbound")
    write(folder, WORKER)
    async with serving(folder) as running:
        yield running


async def test_a_worker_talks_to_another_server(pilot: Served) -> None:
    async with echoing(subprotocols=[Subprotocol("two")]) as (_, url):
        assert await pilot.ask(f"/talks?to={url}") == (200, "two ['one', 'two'] 3000 enough True"), pilot.log()


async def test_a_server_that_speaks_first_is_heard(pilot: Served) -> None:
    async def speaks(socket: ServerConnection) -> None:
        await socket.send("first")
        await socket.send(b"second")
        await socket.wait_closed()

    async with echoing(speaks) as (_, url):
        assert "['first', 'second'] 3000" in (await pilot.ask(f"/talks?to={url}"))[1]


async def test_a_server_that_opens_none(pilot: Served) -> None:
    assert await pilot.ask(f"/talks?to={pilot.url}/misuses") == (200, "refused 200 held")
    status, text = await pilot.ask("/talks?to=http://127.0.0.1:9/")
    assert (status, "fetch from 127.0.0.1:9 failed" in text) == (500, True), text


async def test_a_worker_opens_one_as_a_browser_does(pilot: Served) -> None:
    async with echoing(subprotocols=[Subprotocol("two")]) as (_, url):
        to = url.replace("http", "ws")
        assert await pilot.ask(f"/opens?to={to}&protocol=one&protocol=two") == (
            200, "open 1 two permessage-deflate\n1000 of True\nclose 4001 enough True 3",
        ), pilot.log()  # fmt: skip
        refused = "expected server to reply with HTTP status code 101 (switching protocols), but received 400 instead."
        lost = "close 1006 Failed to establish websocket connection False 3"
        assert await pilot.ask(f"/opens?to={to}") == (
            200, f"error Failed to establish the WebSocket connection: {refused}\n{lost}",
        )  # fmt: skip
    for query in (f"to={to}", f"to={to}&early=1"):
        status, text = await pilot.ask(f"/opens?{query}")
        assert (status, text.startswith("error Network connection lost."), text.endswith(lost)) == (200, True, True), (
            text
        )


async def test_addresses_that_none_is_opened_to(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/refuses") == (200, "held")
    for why in (
        "The url is invalid.", "The url scheme must be ws or wss.", "The url fragment must be empty.",
        "One of the protocol header tokens is invalid.", "The protocols header cannot have repeating values.",
    ):  # fmt: skip
        await pilot.says(f"SyntaxError: WebSocket Constructor: {why}", since=since)


async def test_what_was_forgotten_is_closed(pilot: Served) -> None:
    open_ = set()

    async def counted(socket: ServerConnection) -> None:
        open_.add(socket)
        await socket.wait_closed()
        open_.discard(socket)

    async with echoing(counted) as (_, url):
        assert await pilot.ask(f"/forgets?to={url}") == (200, "done")
        async with asyncio.timeout(20):
            while open_:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", ["through", "relays"])
async def test_a_socket_goes_on_to_the_client(pilot: Served, way: str) -> None:
    async with echoing() as (server, url), opening(f"{pilot.url}/{way}?to={url}") as socket:
        for message in ("text", b"\x00bytes", "x" * 200_000, bytes(3 << 20)):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.close(4002, "enough")
        assert socket.close_code == 4002
        async with asyncio.timeout(20):
            while server.connections:
                await asyncio.sleep(0.01)


async def test_what_passes_through_does_not_enter_the_worker(pilot: Served) -> None:
    async with echoing() as (_, url), opening(f"{pilot.url}/through?to={url}") as socket:
        worker = running(pilot.process.pid, "runtime.isolate.zygote")
        for process in worker:
            for isolate in process.children():
                isolate.suspend()
        try:
            await socket.send("past it")
            assert await asyncio.wait_for(socket.recv(), 20) == "past it"
        finally:
            for process in worker:
                for isolate in process.children():
                    isolate.resume()


async def test_either_end_of_what_passes_through_may_go(pilot: Served) -> None:
    ended = asyncio.Event()

    async def leaves(socket: ServerConnection) -> None:
        if await socket.recv() == "close":
            return await socket.close(4003, "mine")
        if await socket.recv() == "abort":
            return socket.transport.abort()
        await socket.wait_closed()
        ended.set()

    async with echoing(leaves) as (_, url):
        async with opening(f"{pilot.url}/through?to={url}") as socket:
            await socket.send("close")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert (socket.close_code, socket.close_reason) == (4003, "mine")
        async with opening(f"{pilot.url}/through?to={url}") as socket:
            await socket.send("x")
            await socket.send("abort")
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1006
        async with opening(f"{pilot.url}/through?to={url}") as socket:
            await socket.send("x")
            await socket.send("y")
            socket.transport.abort()
        await asyncio.wait_for(ended.wait(), 20)


async def test_a_slow_reader_holds_the_other_end_up(pilot: Served) -> None:
    """What is sent through waits at its source once the buffers in between are full."""
    sent, noise = 0, os.urandom(1 << 20)  # which gets no smaller

    async def pours(socket: ServerConnection) -> None:
        nonlocal sent
        for _ in range(200):
            await socket.send(noise)
            sent += 1

    async with echoing(pours) as (_, url), opening(f"{pilot.url}/through?to={url}", max_queue=1) as socket:
        began = time.monotonic()
        while time.monotonic() < began + 1 or sent < 2:
            await asyncio.sleep(0.05)
        assert sent < 60
        for _ in range(200):
            assert len(await socket.recv()) == 1 << 20
