"""Who may use the routes of `pilot dev` that are not the worker's: no page of another site, by no name of its own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENTRY = "from workers import Response\nasync def fetch(request): return Response('the worker')\n"
CHAT = json.dumps({"model": "@cf/meta/llama-2-7b-chat-int8", "messages": [{"role": "user", "content": "a"}]})
RUN = "/client/v4/accounts/a/ai/run/@cf/meta/llama-2-7b-chat-int8"
ROUTES = [  # method, path, body, headers of a client that may
    ("POST", "/v1/chat/completions", CHAT, {}), ("GET", "/v1/models", None, {}),
    ("POST", RUN, '{"prompt": "a"}', {"authorization": "Bearer any"}), ("GET", "/__pilot/metrics", None, {}),
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("dev")
    write(folder, ENTRY, 'ai = {binding = "AI"}\n')
    async with serving(folder) as running:
        yield running


async def statuses(pilot: Served, headers: dict[str, str]) -> set[int]:
    """Of all the routes, and that the worker answers whatever it is asked as."""
    assert await pilot.ask("/", headers=headers) == (200, "the worker")
    asked = [pilot.ask(path, method, data=body, headers={**own, **headers}) for method, path, body, own in ROUTES]
    return {status for status, _ in await asyncio.gather(*asked)}


@pytest.mark.parametrize("headers", [
    {"host": "rebound.example:8787"}, {"host": "127.0.0.1.evil.example"}, {"host": "localhost.example."},
    {"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    {"origin": "http://localhost:3000", "sec-fetch-site": "same-site"},
])  # fmt: skip
async def test_a_strangers_page_uses_nothing(pilot: Served, headers: dict[str, str]) -> None:
    assert await statuses(pilot, headers) == {403}


@pytest.mark.parametrize("headers", [
    {}, {"host": "localhost:8787"}, {"host": "app.localhost"}, {"host": "192.168.1.7:8787"}, {"host": "[::1]:8787"},
    {"host": socket.gethostname()}, {"host": "host.docker.internal:8787"}, {"host": "127.0.0.1"},
    {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}, {"sec-fetch-site": "none"},
    {"origin": "null", "sec-fetch-site": "same-origin"},
])  # fmt: skip
async def test_programs_and_own_pages_use_all(pilot: Served, headers: dict[str, str]) -> None:
    assert await statuses(pilot, headers) == {200}


async def test_a_link_to_the_metrics_may_be_followed(pilot: Served) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert (await pilot.ask("/__pilot/metrics", headers=link))[0] == 200
    posted = await pilot.ask(RUN, "POST", data='{"prompt": "a"}', headers={**link, "authorization": "Bearer any"})
    assert posted[0] == 403
    assert (await pilot.ask("/__pilot/metrics", headers={**link, "sec-fetch-dest": "iframe"}))[0] == 403


async def test_what_to_type_is_said_and_helps(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        name = {"host": "box.example:8787"}
        status, text = await pilot.ask("/v1/models", headers=name)
        assert (status, json.loads(text)["error"]["message"].endswith('[pilot] hosts = ["box.example"]')) == (403, True)
        page = {"origin": "http://localhost:3000"}
        status, text = await pilot.ask("/v1/models", headers=page)
        assert status == 403
        assert json.loads(text)["errors"][0]["message"].endswith('[pilot] cors = ["http://localhost:3000"]')
        status, text = await pilot.ask("/__pilot/metrics", headers=page)
        assert (status, "cors" in text) == (403, False)
        since = len(pilot.events)
        write(tmp_path, ENTRY, '[pilot]\nhosts = ["Box.example"]\ncors = ["http://localhost:3000"]\n')
        await pilot.event("reloaded", since=since)
        assert (await pilot.ask("/v1/models", headers={**name, **page}))[0] == 200
        assert (await pilot.ask("/__pilot/metrics", headers=name))[0] == 200
        assert (await pilot.ask("/__pilot/metrics", headers={**name, **page}))[0] == 403, "no route that cors is for"
