"""Every sample worker, served and asked as a visitor would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

WORKERS = Path(__file__).parents[2] / "workers"
Start = Callable[..., Awaitable[Any]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


async def events(response: aiohttp.ClientResponse) -> list[Any]:
    """The events of a whole stream: JSON objects, and the text ``[DONE]``."""
    assert response.content_type == "text/event-stream"
    data = [part.removeprefix("data: ") for part in (await response.text()).split("\n\n") if part]
    return [part if part == "[DONE]" else json.loads(part) for part in data]


def text_of(found: list[Any]) -> str:
    assert found[-1] == "[DONE]"
    return "".join(event["response"] for event in found[:-1])


@pytest.mark.parametrize("name", sorted(path.parent.name for path in WORKERS.glob("*/wrangler.toml")))
async def test_every_sample_starts(start_pilot: Start, http: aiohttp.ClientSession, name: str) -> None:
    pilot = await start_pilot(WORKERS / name, "--engine", "echo", "--var", "TARGET:http://127.0.0.1:9")
    async with http.get(pilot.url) as response:
        status = {"proxy": 500, "fastapi": 404}.get(name, 200)  # nothing listens on port 9; there is no page at /
        assert response.status == status


async def test_hello(start_pilot: Start, http: aiohttp.ClientSession) -> None:
    pilot = await start_pilot(WORKERS / "hello")
    async with http.get(pilot.url) as response:
        assert await response.text() == "Hello from Python!\n"


async def test_stream_is_the_models_own_events(start_pilot: Start, http: aiohttp.ClientSession) -> None:
    pilot = await start_pilot(WORKERS / "stream", "--engine", "echo")
    async with http.get(pilot.url) as response:
        assert text_of(await events(response)) == "where is new york?"


async def test_transform_changes_what_passes_through(start_pilot: Start, http: aiohttp.ClientSession) -> None:
    pilot = await start_pilot(WORKERS / "transform", "--engine", "echo")
    async with http.get(pilot.url) as response:
        found = await events(response)
    assert text_of(found) == "WHERE IS NEW YORK?"
    assert found[-2]["usage"]["completion_tokens"] == 4


async def test_chat_serves_its_page_its_model_and_its_stream(start_pilot: Start, http: aiohttp.ClientSession) -> None:
    pilot = await start_pilot(WORKERS / "chat", "--engine", "echo")
    async with http.get(pilot.url) as response:
        assert response.content_type == "text/html"
        assert "new EventSource('worker-endpoint" in await response.text()  # relative: also below a path
    async with http.get(f"{pilot.url}/worker-endpoint", params={"query": "where is new york?"}) as response:
        assert text_of(await events(response)) == "where is new york?"
    async with http.get(f"{pilot.url}/model") as response:
        assert await response.json() == {"model": "@cf/meta/llama-2-7b-chat-int8", "stand_in": "echo"}


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 400),
        ({"query": "  "}, 400),
        ({"query": "x", "history": "no json"}, 400),
        ({"query": "x", "history": '{"a": 1}'}, 400),
        ({"query": "x", "history": "[1]"}, 400),
    ],
)
async def test_chat_refuses_what_it_cannot_ask(
    start_pilot: Start, http: aiohttp.ClientSession, params: dict[str, str], status: int
) -> None:
    pilot = await start_pilot(WORKERS / "chat", "--engine", "echo")
    async with http.get(f"{pilot.url}/worker-endpoint", params=params) as response:
        assert response.status == status
    async with http.get(f"{pilot.url}/nowhere") as response:
        assert response.status == 404


async def test_proxy_streams_what_its_target_sends(start_pilot: Start, http: aiohttp.ClientSession) -> None:
    """The second part is sent only when the first has arrived here: a proxy that buffers would hang."""
    arrived = asyncio.Event()
    request_lines = []

    async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request_lines.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 203 Fine\r\nx-from: target\r\ncontent-length: 10\r\n\r\nfirst")
        await writer.drain()
        await asyncio.wait_for(arrived.wait(), 20)
        writer.write(b"later")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(target, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        pilot = await start_pilot(WORKERS / "proxy", "--var", f"TARGET:{address}")
        async with http.get(f"{pilot.url}/some/path?a=1&b=2") as response:
            assert (response.status, response.headers["x-from"]) == (203, "target")
            assert await response.content.readexactly(5) == b"first"
            arrived.set()
            assert await response.content.read() == b"later"
    assert request_lines == [b"GET /some/path?a=1&b=2 HTTP/1.1"]
