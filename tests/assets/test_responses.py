"""What an asset's response says: types, tags, conditions; and what is never served."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import Served, raw
from sites import get, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

BIG = os.urandom(1_500_000)
FILES: dict[str, str | bytes] = {
    "index.html": "home", "a.css": "css", "a.js": "js", "a.mjs": "js", "a.json": "{}", "a.svg": "<svg/>", "a.TXT": "t",
    "a.wasm": b"\0asm", "a.png": b"png", "a.woff2": b"font", "a.md": "# m", "a.unheard": "?", "bare": "no extension",
    "big.bin": BIG, "empty.txt": "", ".well-known/security.txt": "dot", ".hidden": "dot file",
    "_headers": "", "_redirects": "", "sub/_headers": "a name like any other below the top",
    ".assetsignore": "secret*\n!secret-not.txt\n/drafts/\n*.psd\n", "secret.txt": "s", "secret-not.txt": "ok",
    "drafts/x.html": "d", "sub/drafts/x.html": "sub", "sub/a.psd": "p",
}  # fmt: skip
TYPES = {
    "/": "text/html; charset=utf-8", "/a.css": "text/css; charset=utf-8", "/a.js": "text/javascript; charset=utf-8",
    "/a.mjs": "text/javascript; charset=utf-8", "/a.json": "application/json", "/a.svg": "image/svg+xml",
    "/a.TXT": "text/plain; charset=utf-8", "/a.wasm": "application/wasm", "/a.png": "image/png",
    "/a.woff2": "font/woff2", "/a.md": "text/markdown; charset=utf-8", "/a.unheard": None, "/bare": None,
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "outside.txt").write_text("outside")
    (folder / "outside").mkdir()
    (folder / "outside/x.txt").write_text("outside")
    (folder / "public").mkdir()
    (folder / "public/file-link.txt").symlink_to(folder / "outside.txt")
    (folder / "public/folder-link").symlink_to(folder / "outside")
    (folder / "public/gone.txt").symlink_to(folder / "nothing")
    os.mkfifo(folder / "public/pipe")
    async with site(folder, FILES, script=None) as running:
        yield running


@pytest.mark.parametrize("path", TYPES)
async def test_types(pilot: Served, path: str) -> None:
    answer = await get(pilot, path)
    assert (answer.status, answer.headers.get("content-type")) == (200, TYPES[path])


async def test_headers(pilot: Served) -> None:
    answer = await get(pilot, "/a.css")
    tag = answer.headers["etag"]
    assert len(tag) == 34
    assert int(tag.strip('"'), 16)
    assert answer.headers["cache-control"] == "public, max-age=0, must-revalidate"
    assert answer.headers["cf-cache-status"] == "HIT"
    assert answer.headers["content-length"] == "3"
    for name in ("authorization", "range"):
        answer = await get(pilot, "/a.css", headers={name: "bytes=0-1"})
        assert (answer.status, answer.body) == (200, b"css")  # ranges are ignored
        assert "cache-control" not in answer.headers


@pytest.mark.parametrize("path", ["/a.css", "/big.bin", "/empty.txt"])
async def test_conditions(pilot: Served, path: str) -> None:
    whole = await get(pilot, path)
    tag = whole.headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}'):
        answer = await get(pilot, path, headers={"if-none-match": given})
        assert (answer.status, answer.body) == (304, b"")
        kept = ("etag", "cache-control", "content-type", "cf-cache-status")
        assert [answer.headers.get(name) for name in kept] == [whole.headers.get(name) for name in kept]
    for given in ("*", '"other"'):
        assert (await get(pilot, path, headers={"if-none-match": given})).status == 200


async def test_the_tag_is_the_contents(pilot: Served) -> None:
    same = [(await get(pilot, path)).headers["etag"] for path in ("/a.js", "/a.mjs")]
    other = (await get(pilot, "/a.css")).headers["etag"]
    assert same[0] == same[1] != other


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_large_and_empty_files(pilot: Served, method: str) -> None:
    for path, content in (("/big.bin", BIG), ("/empty.txt", b"")):
        answer = await get(pilot, path, method)
        assert answer.headers["content-length"] == str(len(content))
        assert answer.body == (content if method == "GET" else b"")


async def test_a_client_that_leaves_half_way_breaks_nothing(pilot: Served) -> None:
    for _ in range(5):
        async with pilot.http.get(pilot.url + "/big.bin") as answer:
            assert await answer.content.read(10)
            answer.close()
    assert (await get(pilot, "/big.bin")).body == BIG
    assert not [event for event in pilot.events if event["event"] == "fault"]


async def test_what_is_not_served(pilot: Served) -> None:
    for path in ("/_headers", "/_redirects", "/.assetsignore", "/secret.txt", "/drafts/x", "/sub/a.psd"):
        assert (await get(pilot, path)).status == 404, path
    for path in ("/.well-known/security.txt", "/.hidden", "/secret-not.txt", "/sub/drafts/x", "/sub/_headers"):
        assert (await get(pilot, path)).status == 200, path


@pytest.mark.parametrize(
    "path",
    ["/../outside.txt", "/..%2foutside.txt", "/%2e%2e/outside.txt", "/%2e%2e%2foutside.txt",
     "/sub/..%2f..%2foutside.txt",
     "/..%5coutside.txt", "/.%00/../outside.txt", "/index.html%00.css", "//outside.txt", "/folder-link/x.txt",
     "/folder-link%2fx.txt", "/sub/../../outside.txt", "/gone.txt", "/pipe", "/folder-link", "/sub",
     "/" + "a" * 5000, "/..;/outside.txt", "/%252e%252e/outside.txt", "/\u2025/outside.txt"],
)  # fmt: skip
async def test_nothing_outside_is_reached(pilot: Served, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode()
    answer = await raw(pilot, request)
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")), answer[:200]
    assert b"outside" not in answer


async def test_a_file_that_is_a_link_is_what_it_leads_to(pilot: Served) -> None:
    assert (await get(pilot, "/file-link.txt")).body == b"outside"


async def test_a_request_without_a_host_is_refused(pilot: Served) -> None:
    assert (await raw(pilot, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")).startswith(b"HTTP/1.1 400")
