"""A file that is saved is served at the next request, and the worker is not reloaded for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from serving import serving
from sites import get, lay_out, site

pytestmark = pytest.mark.asyncio

FILES = {"a.html": "one", "sub/b.css": "b"}


async def test_saved_files(tmp_path: Path) -> None:
    async with site(tmp_path, FILES) as pilot:
        public, before = tmp_path / "public", len(pilot.events)
        first = await get(pilot, "/a")
        (public / "a.html").write_text("two, and longer")
        second = await get(pilot, "/a")
        assert (first.body, second.body) == (b"one", b"two, and longer")
        assert first.headers["etag"] != second.headers["etag"]

        (public / "new").mkdir()
        (public / "new/page.html").write_text("new")
        assert (await get(pilot, "/new/page")).body == b"new"
        (public / "a.html").unlink()
        assert (await get(pilot, "/a")).body == b"worker GET"

        (public / "_headers").write_text("/sub/*\n  X-Sub: 1\n")
        (public / "_redirects").write_text("/gone /new/page\nnonsense\n")
        assert (await get(pilot, "/sub/b.css")).headers["x-sub"] == "1"
        assert (await get(pilot, "/gone")).status == 302
        await pilot.says("public/_redirects, line 2")
        (public / ".assetsignore").write_text("*.css\n")
        assert (await get(pilot, "/sub/b.css")).body == b"worker GET"
        assert not [event for event in pilot.events[before:] if event["event"] == "reloaded"]

        assert await pilot.save("from workers import Response\ndef fetch(request): return Response('saved')\n")
        assert (await get(pilot, "/x")).body == b"saved"  # the worker's own files still count


async def test_another_directory_in_the_configuration(tmp_path: Path) -> None:
    async with site(tmp_path, FILES) as pilot:
        (tmp_path / "other").mkdir()
        (tmp_path / "other/a.html").write_text("the other")
        text = (tmp_path / "wrangler.toml").read_text()
        (tmp_path / "wrangler.toml").write_text(text.replace('"public"', '"other"'))
        async with asyncio.timeout(10):
            while (await get(pilot, "/a")).body != b"the other":
                await asyncio.sleep(0.02)


async def test_a_file_that_is_too_large_is_not_served_and_named(tmp_path: Path) -> None:
    lay_out(tmp_path, FILES, script=None)
    with (tmp_path / "public/huge.bin").open("wb") as file:
        file.truncate(25 * 1024 * 1024 + 1)
    with (tmp_path / "public/large.bin").open("wb") as file:
        file.truncate(25 * 1024 * 1024)
    async with site(tmp_path, FILES, script=None) as pilot:
        assert (await get(pilot, "/huge.bin")).status == 404
        await pilot.says("huge.bin is not served: it has over 25 MiB")
        assert len((await get(pilot, "/large.bin")).body) == 25 * 1024 * 1024


async def test_secrets_and_state_are_not_assets(tmp_path: Path) -> None:
    lay_out(tmp_path, {}, directory=".")
    (tmp_path / ".dev.vars").write_text("KEY=hidden\n")
    (tmp_path / ".pilot/state").mkdir(parents=True)
    (tmp_path / ".pilot/state/x.db").write_text("hidden")
    (tmp_path / "page.html").write_text("page")
    async with serving(tmp_path) as pilot:
        assert (await get(pilot, "/page")).body == b"page"
        for path in ("/.dev.vars", "/.pilot/state/x.db", "/wrangler.toml"):
            assert (await get(pilot, path)).body == b"worker GET"
        await pilot.says("the worker's own code is in it")
