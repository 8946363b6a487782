"""WebSockets of FastAPI's and of a bare ASGI application, in a served worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from hosting import hosting, worker
from serving import Served, serving, write
from socket_servers import opening

ENTRY = """
import asyncio, asgi
from fastapi import FastAPI, HTTPException, WebSocket, WebSocketDisconnect, WebSocketException

app = FastAPI()

@app.websocket("/echo/{name}")
async def echo(socket: WebSocket, name: str, word: str = "none"):
    await socket.accept(socket.scope["subprotocols"][0] if socket.scope["subprotocols"] else None, [(b"x-mine", b"1")])
    env = type(socket.scope["env"]).__name__
    await socket.send_json([name, word, str(socket.url), socket.headers.get("x-theirs"), env])
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return print("left", message["code"], message["reason"])
            await (socket.send_text(message["text"]) if "text" in message else socket.send_bytes(message["bytes"]))
    finally:
        print("ended", name)

@app.websocket("/disconnects")
async def disconnects(socket: WebSocket):
    await socket.accept()
    try:
        await socket.receive_text()
    except WebSocketDisconnect as error:
        print("disconnected", error.code)
    try:
        await socket.send_text("nobody")
    except WebSocketDisconnect:
        print("nobody is there")

@app.websocket("/closes")
async def closes(socket: WebSocket):
    await socket.accept()
    await socket.close(4001, "enough")

@app.websocket("/returns")
async def returns(socket: WebSocket):
    await socket.accept()

@app.websocket("/fails")
async def fails(socket: WebSocket):
    await socket.accept()
    raise ValueError("after accepting")

@app.websocket("/fails/before")
async def before(socket: WebSocket):
    raise ValueError("before accepting")

@app.websocket("/refuses")
async def refuses(socket: WebSocket):
    raise WebSocketException(4003)

@app.websocket("/denies")
async def denies(socket: WebSocket):
    raise HTTPException(418, "a teapot")

@app.websocket("/slow")
async def slow(socket: WebSocket):
    await socket.accept()
    await asyncio.sleep(0.5)
    for _ in range(500):
        await socket.receive_bytes()
    await socket.send_text("all")

@app.get("/plain")
async def plain():
    return "plain"

async def fetch(request, env, ctx):
    return await asgi.fetch(app, request, env, ctx)
"""
BARE = """
import asgi, time

async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        began = time.thread_time()
        while time.thread_time() < began + 0.1 or message["text"] == "spin":
            pass
        await send({"type": "websocket.send", "text": message["text"]})

Default = asgi.entrypoint(app)
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("worker")
    write(folder, ENTRY)
    async with serving(folder) as pilot:
        yield pilot


async def test_an_endpoint_talks_with_its_client(pilot: Served) -> None:
    url, options = f"{pilot.url}/echo/me?word=yes", {"x-theirs": "2"}
    async with opening(url, subprotocols=[Subprotocol("two")], additional_headers=options) as socket:
        assert socket.subprotocol == "two"
        assert socket.response is not None
        assert socket.response.headers["x-mine"] == "1"
        first = str(await socket.recv())
        assert first.startswith('["me","yes","ws://127.0.0.1:')
        assert first.endswith('/echo/me?word=yes","2","Env"]'), first
        for message in ("text", b"\x00bytes", "x" * 300_000, ""):
            await socket.send(message)
            assert await socket.recv() == message
        await socket.close(4002, "bye")
    await pilot.says("left 4002 bye")
    await pilot.says("ended me")


async def test_a_client_that_goes(pilot: Served) -> None:
    async with opening(f"{pilot.url}/disconnects") as socket:
        socket.transport.abort()
    await pilot.says("disconnected 1006")
    await pilot.says("nobody is there")


@pytest.mark.parametrize(("path", "code", "reason"), [
    ("closes", 4001, "enough"), ("returns", 1000, ""), ("fails", 1011, ""),
])  # fmt: skip
async def test_an_endpoint_ends_its_socket(pilot: Served, path: str, code: int, reason: str) -> None:
    async with opening(f"{pilot.url}/{path}") as socket:
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 20)
        assert (socket.close_code, socket.close_reason) == (code, reason)
    if path == "fails":
        await pilot.says("WebSocket /fails")


@pytest.mark.parametrize(("path", "status", "body"), [
    ("refuses", 403, ""), ("none", 403, ""), ("denies", 418, "a teapot"), ("fails/before", 500, "before accepting"),
    ("plain", 403, ""),
])  # fmt: skip
async def test_an_endpoint_refuses(pilot: Served, path: str, status: int, body: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with opening(f"{pilot.url}/{path}"):
            pass
    assert caught.value.response.status_code == status
    assert body in caught.value.response.body.decode()


async def test_a_slow_endpoint_loses_nothing(pilot: Served) -> None:
    async with opening(f"{pilot.url}/slow") as socket:
        for _ in range(500):
            await socket.send(b"x" * 1000)
        assert await asyncio.wait_for(socket.recv(), 30) == "all"


async def test_what_is_no_websocket_is_answered_as_ever(pilot: Served) -> None:
    assert await pilot.ask("/plain") == (200, '"plain"')


async def test_each_message_has_the_cpu_time_of_a_request(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data", "--isolates", "1", "--limit", "cpu_ms=400") as host:
        await host.deploy(worker(tmp_path / "app", BARE, name="app"))
        async with opening(f"{host.url}/_w/app/") as socket:
            for _ in range(20):
                await socket.send("work")
                assert await asyncio.wait_for(socket.recv(), 20) == "work"
            await socket.send("spin")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 20)
            assert socket.close_code == 1011
