"""A stream that no task of the server reads, a model's or a worker's own: its ends are those of any other."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from families import ENGINE, running
from runtime.supervisor.telemetry.metrics import PATH
from serving import Served, connect, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRY = """
from workers import Response, URL

left = []

async def fetch(request, env, ctx):
    path = URL(request.url).pathname
    if path == "/left":
        return Response(" ".join(left))
    request.signal.addEventListener("abort", lambda event: left.append(path))
    stream = await env.AI.run(path.rpartition("/")[2], {"prompt": "a b c", "stream": True})
    return Response(again(stream) if path.startswith("/again/") else stream)

async def again(stream):
    async for chunk in stream:
        yield chunk
"""
HANDED_ON, AGAIN = "/", "/again/"  # unread, or read by the worker and written again
BOTH = pytest.mark.parametrize("way", [HANDED_ON, AGAIN])
MODELS = json.dumps({
    name: {"context_window": 1000, "engine": "echo", "model": name, "options": {"rate": rate, "tokens": tokens}}
    for name, rate, tokens in (("short", 1000, 3), ("long", 20, 200), ("middling", 20, 30))
})  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module")
async def pilot(tmp_path: Path) -> AsyncIterator[Served]:
    write(tmp_path, ENTRY, '[ai]\nbinding = "AI"\n', {"models.yaml": MODELS})
    async with serving(tmp_path) as served:
        yield served


async def begun(pilot: Served, *paths: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Requests on one connection, of which the first has its first event."""
    reader, writer = await connect(pilot)
    writer.write(b"".join(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() for path in paths))
    await reader.readuntil(b"data: ")
    return reader, writer


@BOTH
async def test_requests_of_one_connection_are_answered_one_after_the_other(pilot: Served, way: str) -> None:
    reader, writer = await begun(pilot, f"{way}short", f"{way}short", "/left")
    async with asyncio.timeout(20):
        for _ in range(2):
            body = await reader.readuntil(b"\r\n0\r\n\r\n")
            assert body.count(b"[DONE]") == 1
            assert b'"completion_tokens":3' in body
            head = await reader.readuntil(b"\r\n\r\n")
    assert b"content-length: 0" in head
    writer.close()


@BOTH
async def test_a_model_that_dies_says_so_and_ends_the_stream(pilot: Served, way: str) -> None:
    reader, writer = await begun(pilot, f"{way}long")
    os.kill(running(pilot.process.pid, ENGINE)[0].pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        body = await reader.readuntil(b"\r\n0\r\n\r\n")
    assert b"[DONE]" not in body
    assert b'"code":3040' in body
    writer.close()


@BOTH
async def test_the_worker_and_the_metrics_hear_of_a_client_that_leaves(pilot: Served, way: str) -> None:
    _, writer = await begun(pilot, f"{way}long")
    writer.close()
    async with asyncio.timeout(20):
        while (await pilot.ask("/left"))[1] != f"{way}long":
            await asyncio.sleep(0.02)
    line = await pilot.says("client left")
    assert line["path"] == f"{way}long"
    assert line["tokens"] >= 1
    assert 'pilot_ai_requests_total{model="long",outcome="aborted"} 1.0' in (await pilot.ask(PATH))[1]


@BOTH
async def test_a_server_that_ends_waits_for_it(pilot: Served, way: str) -> None:
    reader, writer = await begun(pilot, f"{way}middling")
    pilot.process.terminate()
    async with asyncio.timeout(20):
        body = await reader.readuntil(b"\r\n0\r\n\r\n")
    assert b'"completion_tokens":30' in body
    assert body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    writer.close()
