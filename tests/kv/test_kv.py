"""KV as a worker uses it: every case is a function of kv_worker.py, behind a real socket."""

from __future__ import annotations

import io
import re
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served, serving, write

WORKER = (Path(__file__).parent / "kv_worker.py").read_text()
CASES = [name for name in re.findall(r"^async def (\w+)\(kv", WORKER, re.MULTILINE) if not name.startswith("request_")]
CONFIG = '[[kv_namespaces]]\nbinding = "KV"\nid = "notes"\n'

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("kv")
    write(folder, WORKER, CONFIG)
    async with serving(folder) as running:
        yield running


@pytest.mark.parametrize("case", CASES)
async def test_case(pilot: Served, case: str) -> None:
    assert await pilot.ask(f"/{case}") == (200, "held\n"), pilot.log()


async def test_a_body_goes_to_the_disk_and_back_unread(pilot: Served) -> None:
    """Neither way does it enter the worker's process."""
    content = bytes(range(256)) * 4096 * 20  # 20 MiB
    assert await pilot.ask("/request_keeps_its_body", "POST", data=io.BytesIO(content)) == (200, "kept\n")
    async with pilot.http.get(pilot.url + "/request_gives_the_body") as response:
        assert await response.read() == content
    assert await pilot.ask("/request_keeps_its_body", "POST", data=b"small") == (200, "kept\n")
    assert await pilot.ask("/request_gives_the_body") == (200, "small")


async def test_what_is_too_large_leaves_nothing(pilot: Served) -> None:
    assert await pilot.ask("/request_puts?key=body", "POST", data="before") == (200, "put\n")
    status, text = await pilot.ask("/request_keeps_its_body", "POST", data=io.BytesIO(bytes(27 * 1024 * 1024)))
    assert status == 500
    assert "KV PUT failed: 413 Value length of" in text
    assert await pilot.ask("/request_gets?key=body") == (200, "before")
    blobs = pilot.folder / ".pilot/state/kv/notes/blobs"
    assert not [file for file in blobs.iterdir() if file.suffix == ".part"]


async def test_what_has_expired_is_not_seen(pilot: Served) -> None:
    """Its moment is brought forward in the file: nothing may live for less than a minute."""
    key = "brief"
    assert await pilot.ask(f"/request_puts?key={key}", "POST", data="x") == (200, "put\n")
    with closing(sqlite3.connect(pilot.folder / ".pilot/state/kv/notes/kv.sqlite")) as file, file:
        file.execute("UPDATE entries SET expiration = ? WHERE key = ?", (int(time.time()), key))
    assert await pilot.ask(f"/request_gets?key={key}") == (200, "(none)")
    with closing(sqlite3.connect(pilot.folder / ".pilot/state/kv/notes/kv.sqlite")) as file, file:
        file.execute("UPDATE entries SET expiration = ? WHERE key = ?", (int(time.time()) + 60, key))
    assert await pilot.ask(f"/request_gets?key={key}") == (200, "x")
