"""A page in Chromium speaks with a worker, and hears a model's tokens as it would over server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from browsing import chromium
from serving import Served, serving, write
from socket_servers import opening

ENTRY = """
import json
import js
from workers import Response, URL

PAGE = "<!doctype html><title>room</title>"

async def fetch(request, env, ctx):
    path = URL(request.url).pathname
    if request.headers.get("upgrade") != "websocket":
        if path == "/sse":
            return Response(await ask(env), headers={"content-type": "text/event-stream"})
        return Response(PAGE, headers={"content-type": "text/html"})
    client, server = js.WebSocketPair.new().object_values()
    server.accept()

    async def answer(event):
        if event.data == "model":
            async for chunk in await ask(env):
                server.send(chunk)
            return server.close(1000, "told")
        data = event.data if isinstance(event.data, str) else await event.data.bytes()
        server.send(data[::-1])

    server.addEventListener("message", answer)
    return Response(None, status=101, web_socket=client)

async def ask(env):
    messages = [{"role": "user", "content": "one two three four five"}]
    return await env.AI.run("@cf/meta/llama-3.1-8b-instruct", {"messages": messages, "stream": True})
"""
TALK = """
async () => {
  const socket = new WebSocket(location.href.replace('http', 'ws') + 'talk');
  socket.binaryType = 'arraybuffer';
  const heard = [];
  const closed = new Promise(done => socket.onclose = e => done([e.code, e.reason, e.wasClean]));
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
  for (const message of ['abc', 'ünï', new Uint8Array([1, 2, 3]), 'x'.repeat(100000)]) {
    socket.send(message);
    const { data } = await new Promise(done => socket.onmessage = done);
    heard.push(typeof data === 'string' ? data.slice(0, 9) : Array.from(new Uint8Array(data)));
  }
  let told = '';
  socket.onmessage = ({ data }) => told += new TextDecoder().decode(data);
  socket.send('model');
  return [heard, await closed, told];
}
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("browser")
    write(folder, ENTRY, '[ai]\nbinding = "AI"\n')
    async with serving(folder) as running:
        yield running


async def test_in_a_browser(pilot: Served) -> None:
    _, events = await pilot.ask("/sse")
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(pilot.url + "/")
        heard, closed, told = await page.evaluate(TALK)
    assert heard == ["cba", "ïnü", [3, 2, 1], "xxxxxxxxx"]
    assert (closed, told) == ([1000, "told", True], events)
    assert told.count("data: ") > 5


async def test_a_models_tokens_come_one_by_one(pilot: Served) -> None:
    """Each is a message of its own, as it comes."""
    _, events = await pilot.ask("/sse")
    async with opening(f"{pilot.url}/talk") as socket:
        await socket.send("model")
        chunks = [chunk async for chunk in socket if isinstance(chunk, bytes)]
    assert b"".join(chunks).decode() == events
    assert len(chunks) > 3
