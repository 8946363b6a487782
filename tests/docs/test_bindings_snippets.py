"""What docs/bindings/ shows of configuration and code is taken, and answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from serving import serving

PAGES = Path(__file__).parents[2] / "docs/bindings"
IMPORTS = "from workers import DurableObject, Response, WorkerEntrypoint\n"
NO_CODE = "from workers import Response\n\nasync def fetch(request): return Response('fine')\n"
AI = 'ai = { binding = "AI" }\n'  # that page's example asks it, too

# page → (what its example needs besides, what it is asked, what is in the answer)
ANSWERS = {
    "cache-api.md": ("", "GET /", "made just now"),
    "cron-triggers.md": ("", "GET /cdn-cgi/local/scheduled", "ok"),
    "d1.md": ("", "GET /", "fine"),
    "durable-objects.md": ("", "GET /", "1"),
    "email.md": ("", "GET /", "@example.com>"),
    "hyperdrive.md": ("", "GET /", "fine"),
    "kv.md": ("", "GET /", "fine"),
    "queues.md": ("", "GET /", "on its way"),
    "r2.md": ("", "PUT /", "kept"),
    "service-bindings.md": ("", "GET /", "fine"),
    "static-assets.md": ("", "GET /page.txt", "a page"),
    "variables.md": ("", "GET /", "hello, you may keep 100 notes"),
    "vectorize.md": (AI, "GET /", '"id":"1"'),
    "version-metadata.md": ("", "GET /", '"tag":""'),
    "worker-loader.md": ("", "GET /", "notes of ann on lamps"),
    "workflows.md": ("", "GET /", '"status":'),
}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def shown(folder: Path, page: str, more: str = "", number: int = 0) -> None:
    """A worker of the page's configuration and of its example of that number."""
    config = more + "".join(blocks(page, "toml")[:1])
    name = "" if re.search("^name =", config, re.MULTILINE) else 'name = "shown"\n'
    code = [block for block in blocks(page, "python") if re.search("^(class|async def) ", block, re.MULTILINE)]
    (folder / "wrangler.toml").write_text(f'{name}main = "entry.py"\n{config}')
    (folder / "entry.py").write_text(IMPORTS + code[number] if code else NO_CODE)
    (folder / "public").mkdir()
    (folder / "public/page.txt").write_text("a page")


@pytest.mark.parametrize("page", ANSWERS)
async def test_what_a_page_shows_answers(page: str, tmp_path: Path) -> None:
    more, request, answer = ANSWERS[page]
    shown(tmp_path, page, more)
    method, path = request.split()
    async with serving(tmp_path) as pilot:
        status, text = await pilot.ask(path, method)
        assert (status, answer in text) == (200, True), (text, pilot.log())


async def test_a_websocket_is_echoed_as_shown(tmp_path: Path) -> None:
    shown(tmp_path, "websockets.md")
    async with serving(tmp_path) as pilot, pilot.http.ws_connect(pilot.url) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"


async def test_the_room_that_is_shown_tells_all(tmp_path: Path) -> None:
    shown(tmp_path, "websockets.md", ROOM, number=1)
    entry = tmp_path / "entry.py"
    entry.write_text(entry.read_text() + FRONT)
    async with (
        serving(tmp_path) as pilot,
        pilot.http.ws_connect(pilot.url) as one,
        pilot.http.ws_connect(pilot.url) as other,
    ):
        await other.send_str("hello")
        assert [await one.receive_str(), await other.receive_str()] == ["hello", "hello"]


FRONT = """
import js

async def fetch(request, env):
    return await env.ROOM.getByName("a").fetch(request)
"""
ROOM = """
[[durable_objects.bindings]]
name = "ROOM"
class_name = "Room"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Room"]
"""


def test_every_page_with_an_example_is_looked_at() -> None:
    with_examples = {page.name for page in PAGES.glob("*.md") if blocks(page.name, "toml")}
    assert with_examples - set(ANSWERS) == {"images.md", "tail-workers.md"}  # which need a picture, and another worker
