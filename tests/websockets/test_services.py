"""Sockets between workers: what one answers another's fetch with goes on to the client, or is that worker's to use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import Served, serving, write
from socket_servers import opening

CALLEE = """
import js
from workers import Response

async def fetch(request):
    client, server = js.WebSocketPair.new().object_values()
    server.accept()
    server.send("welcome")
    server.addEventListener("message", lambda event: server.send(f"callee {event.data}"))
    server.addEventListener("close", lambda event: print("callee closed", event.code))
    return Response(None, status=101, web_socket=client)
"""
CALLER = """
import asyncio
from workers import Response, URL

async def fetch(request, env):
    response = await env.CALLEE.fetch(request)
    if URL(request.url).pathname == "/through":
        return response
    socket, heard = response.web_socket, asyncio.Queue()
    socket.addEventListener("message", lambda event: heard.put_nowait(event.data))
    socket.accept()
    socket.send("caller")
    said = [await heard.get(), await heard.get()]
    socket.close(4001, "enough")
    return Response(str(said))
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("services")
    write(folder / "callee", CALLEE)
    (folder / "callee/wrangler.toml").write_text('name = "callee"\nmain = "entry.py"\n')
    write(folder / "caller", CALLER, '[[services]]\nbinding = "CALLEE"\nservice = "callee"\n')
    configs = [word for name in ("caller", "callee") for word in ("-c", f"{name}/wrangler.toml")]
    async with serving(folder, *configs) as running:
        yield running


async def test_a_socket_goes_through_the_caller(pilot: Served) -> None:
    async with opening(f"{pilot.url}/through") as socket:
        assert await socket.recv() == "welcome"
        await socket.send("x")
        assert await socket.recv() == "callee x"
        await socket.close(4002)
        assert socket.close_code == 4002
    await pilot.says("callee closed 4002")


async def test_a_caller_uses_it(pilot: Served) -> None:
    since = len(pilot.events)
    assert await pilot.ask("/uses", headers={"Upgrade": "websocket", "Connection": "x"}) == (
        200, "['welcome', 'callee caller']",
    )  # fmt: skip
    await pilot.says("callee closed 4001", since=since)


async def test_below_its_own_prefix(pilot: Served) -> None:
    async with opening(f"{pilot.url}/_w/callee/") as socket:
        assert await socket.recv() == "welcome"
