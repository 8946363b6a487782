"""``pilot ps`` beside servers that run, and where none does."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

from hosting import hosting
from serving import serving, write
from terminals import block, told, typed

LLAMA = "@cf/meta/llama-2-7b-chat-int8"
ENTRY = """
from workers import Response
async def fetch(request, env):
    if request.url.endswith("/stream"):
        return Response(await env.AI.run("own/slow", {"prompt": "hi", "stream": True}))
    return Response.json(await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "hi"}))
"""
SLOW = '"own/slow":\n  engine: echo\n  echo: {rate: 5, tokens: 5000}\n'


def nobodys() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def shown(folder: Path, *words: str, **env: str) -> str:
    return await asyncio.to_thread(typed, folder, "ps", *words, **env)


async def test_the_blocks_of_the_docs(tmp_path: Path) -> None:
    for words in block("pilot ps"):
        typed(tmp_path, *words, PILOT_HOST=f"http://127.0.0.1:{nobodys()}")


async def test_where_none_runs(tmp_path: Path) -> None:
    dev, host = nobodys(), f"http://127.0.0.1:{nobodys()}"
    out = typed(tmp_path, "ps", "--port", str(dev), PILOT_HOST=host)
    assert f"no pilot dev answers at port {dev}" in out
    assert host in out
    assert told(tmp_path, "ps", "--port", str(dev), PILOT_HOST=host) == []
    assert "no answer" in typed(tmp_path, "ps", "--host", host, code=3)
    assert "is not a URL" in typed(tmp_path, "ps", "--host", "localhost", code=3)


async def test_a_dev_server_and_what_it_has_loaded(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, 'ai = {binding = "AI"}\n', {"models.yaml": SLOW})
    nowhere = {"PILOT_HOST": f"http://127.0.0.1:{nobodys()}"}
    async with serving(tmp_path) as pilot:
        port = pilot.url.rpartition(":")[2]
        assert "no model is loaded" in await shown(tmp_path, "--port", port, **nowhere)
        assert (await pilot.ask())[0] == 200
        async with pilot.http.get(pilot.url + "/stream") as response:
            await response.content.readany()
            out = await shown(tmp_path, "--port", port, **nowhere)
            found = json.loads(await shown(tmp_path, "--port", port, "--json", **nowhere))
    assert f"pilot dev at http://127.0.0.1:{port}, with test" in out
    assert "REQUESTS" in out
    engines = {row["models"]: row for row in found[0]["engines"]}
    assert set(engines) == {LLAMA, "own/slow"}
    assert engines[LLAMA]["live"] == 0
    assert engines["own/slow"]["live"] == 1
    assert all(row["state"] == "ready" and row["up_s"] >= 0 for row in engines.values())
    assert all(row["memory_mb"] is None or row["memory_mb"] > 5 for row in engines.values())


async def test_a_host_asks_for_a_token(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        env = _token(host)
        refused = await asyncio.to_thread(typed, tmp_path, "ps", "--host", host.url, code=3, PILOT_API_TOKEN="wrong")
        assert "it wants another token" in refused
        assert f"pilot host at {host.url}" in await shown(tmp_path, "--host", host.url, **env)


def _token(host: Any) -> dict[str, str]:
    return {"PILOT_API_TOKEN": host.token}


async def test_what_is_no_pilot(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        nowhere = {"PILOT_HOST": f"http://127.0.0.1:{nobodys()}"}
        assert "no pilot dev answers" in await shown(tmp_path, "--port", str(port), **nowhere)
        out = await asyncio.to_thread(typed, tmp_path, "ps", "--host", f"http://127.0.0.1:{port}", code=3)
        assert "what answers there is no pilot" in out
