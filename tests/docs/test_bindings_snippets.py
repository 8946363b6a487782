"""What docs/bindings/ shows of configuration and code is taken, and answers."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pages import AI, IMPORTS, PAGES, blocks, shown
from serving import serving, write

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


async def test_the_picture_that_is_shown_is_made(tmp_path: Path) -> None:
    shown(tmp_path, "images.md", BUCKET)
    put = ["-P", "-m", "runtime.cli", "r2", "object", "put", "files/logo.png", "--file", "logo.png"]
    Image.new("RGBA", (128, 128), "red").save(tmp_path / "logo.png")
    subprocess.run([sys.executable, *put], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    Image.new("RGB", (1600, 1600), "blue").save(photo := io.BytesIO(), "PNG")
    async with serving(tmp_path) as pilot, pilot.http.post(pilot.url, data=photo.getvalue()) as answer:
        body = await answer.read()
        assert answer.status == 200, (body, pilot.log())
        made = Image.open(io.BytesIO(body))
        assert (made.format, made.size) == ("WEBP", (800, 600))
        assert made.convert("RGB").getpixel((750, 550))[0] > 100  # the logo's red, half through


async def test_the_tail_that_is_shown_is_told(tmp_path: Path) -> None:
    shop, logs = tmp_path / "shop", tmp_path / "logs"
    logs.mkdir()
    (logs / "wrangler.toml").write_text('name = "logs"\nmain = "entry.py"\n')
    (logs / "entry.py").write_text(IMPORTS + blocks("tail-workers.md", "python")[0])
    write(shop, SAYS, blocks("tail-workers.md", "toml")[0].replace('name = "shop"\n', ""))
    async with serving(shop, "-c", "wrangler.toml", "-c", str(logs / "wrangler.toml")) as pilot:
        assert await pilot.ask() == (200, "sold")
        await pilot.says("['one more']")


BUCKET = """
[[r2_buckets]]
binding = "FILES"
bucket_name = "files"
"""
SAYS = """
from workers import Response

async def fetch(request, env, ctx):
    print("one more")
    return Response("sold")
"""


def test_every_page_with_an_example_is_looked_at() -> None:
    with_examples = {page.name for page in PAGES.glob("*.md") if blocks(page.name, "toml")}
    assert with_examples - set(ANSWERS) == {"images.md", "tail-workers.md"}  # which are above
