"""``_headers`` and ``_redirects``: what they do, and that a wrong line warns and stops nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served
from sites import get, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEADERS = """
# a comment
/*
  X-All: 1
/about
  X-A: :nope
  ! CF-Cache-Status
/hd/*
  X-Splat: [:splat]
  X-Two: a
  x-two: b
/hd/:name
  X-Name: :name
  X-All: 2
/a.json
  X-First: lost
/own.json
  ETag: "mine"
  Cache-Control: no-store
https://:sub.example.com/*
  X-Sub: :sub
/cookies
  Set-Cookie: a=1
/cookie*
  Set-Cookie: b=2
/a.json
  X-Second: kept
"""
REDIRECTS = """
/old /about 301
/r303 /about 303
/r307 /about?keep=1 307
/r308 /about#frag 308
/q?x=1 /about
/pr /about 200
/prn /nothing 200
/loop /loop
/abs https://example.org/x
/note /about 302 # a note
/about.html /first
/stat/first /about
/x/:id /blog/:id
/stat/* /blog
/stat/late /about 301
/lang/:l/:p /:p/:l?x=:l
/star/* /q?s=:splat 308
/open/* /:splat
/pq/:id /about?id=:id 200
"""
LOCATIONS = {
    "/old": (301, "/about"), "/old?q=1": (301, "/about?q=1"), "/r303": (303, "/about"),
    "/r307?q=1": (307, "/about?keep=1"), "/r308?q=1": (308, "/about?q=1#frag"), "/q": (302, "/about"),
    "/q?x=2": (302, "/about?x=2"), "/loop": (302, "/loop"), "/abs?q=1": (302, "https://example.org/x?q=1"),
    "/note": (302, "/about"), "/about.html": (302, "/first"), "/stat/first": (302, "/about"), "/stat/y": (302, "/blog"),
    "/stat/late": (302, "/blog"), "/x/5": (302, "/blog/5"), "/lang/de/page": (302, "/page/de?x=de"),
    "/star/a/b": (308, "/q?s=a/b"), "/star/": (308, "/q?s="), "/open//evil.example/x": (302, "/evil.example/x"),
    "/open/%2Fevil.example": (302, "/%2Fevil.example"),
}  # fmt: skip
FILES = {"about.html": "about", "404.html": "lost", "a.json": "{}", "own.json": "{}", "hd/one.txt": "1",
         "_headers": HEADERS, "_redirects": REDIRECTS}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with site(tmp_path_factory.mktemp("site"), FILES) as running:
        yield running


@pytest.mark.parametrize("path", LOCATIONS)
async def test_redirects(pilot: Served, path: str) -> None:
    answer = await get(pilot, path)
    assert (answer.status, answer.headers.get("location"), answer.body) == (*LOCATIONS[path], b"")


async def test_a_redirect_with_200_answers_with_what_is_there(pilot: Served) -> None:
    for path in ("/pr", "/pq/7"):
        answer = await get(pilot, path)
        assert (answer.status, answer.body) == (200, b"about")
        assert "x-a" not in answer.headers  # headers go by the path that was asked for
    assert (await get(pilot, "/prn")).status == 404  # and not the worker's


async def test_a_pattern_stops_at_a_slash(pilot: Served) -> None:
    assert (await get(pilot, "/x/5/6")).body == b"worker GET"
    assert (await get(pilot, "/star")).body == b"worker GET"


async def test_headers(pilot: Served) -> None:
    about = (await get(pilot, "/about")).headers
    assert (about["x-all"], about["x-a"]) == ("1", ":nope")
    assert "cf-cache-status" not in about
    one = (await get(pilot, "/hd/one.txt")).headers
    assert (one["x-splat"], one["x-two"], one["x-name"], one["x-all"]) == ("[one.txt]", "a, b", "one.txt", "1, 2")
    own = (await get(pilot, "/own.json")).headers
    assert (own["etag"], own["cache-control"]) == ('"mine"', "no-store")


async def test_headers_by_host(pilot: Served) -> None:
    port = pilot.url.rpartition(":")[2]
    named = await get(pilot, "/about", headers={"host": f"shop.example.com:{port}"})
    # a rule for a host is for https alone as it is written, and for every scheme as upstream reads it
    assert named.headers["x-sub"] == "shop"
    assert "x-sub" not in (await get(pilot, "/about")).headers


async def test_headers_of_other_answers(pilot: Served) -> None:
    tag = (await get(pilot, "/about")).headers["etag"]
    for path, method, sent, status in (
        ("/old", "GET", {}, 301),
        ("/about/", "GET", {}, 307),
        ("/about", "POST", {}, 405),
        ("/about", "GET", {"if-none-match": tag}, 304),
        ("/prn", "GET", {}, 404),
    ):
        answer = await get(pilot, path, method, sent)
        assert (answer.status, answer.headers["x-all"]) == (status, "1")
    assert "x-all" not in (await get(pilot, "/the-workers")).headers


async def test_of_a_path_that_stands_there_twice_the_last_headers_count(pilot: Served) -> None:
    headers = (await get(pilot, "/a.json")).headers
    assert ("x-first" in headers, headers["x-second"]) == (False, "kept")
    assert "/a.json stands there twice" in (await pilot.says("_headers, line 26"))["text"]


WRONG_HEADERS = """X-Early: 1
/no-headers
/ok
  X-Ok: 1
  no colon
  : no name
  X-Empty:
  bad name: x
/two/*/wild/*
  X-Skipped: 1
/both/*/:splat
https://example.com:8080/*
ftp://example.com/
/tab
  X-Tab: a\tb
"""
WRONG_REDIRECTS = """/one
/a b c d
/s /about 404
/t /about abc
/p https://example.com/ 200
https://example.com/ /about
/about/* /index.html
/ /index
/d /about
/d /other
/e ftp://example.com
/:a/:a /about
/ok /about
"""


async def test_a_wrong_line_warns_by_its_number_and_stops_nothing(tmp_path: Path) -> None:
    long = "/" + "x" * 2000 + " /about\n"
    files = {"about.html": "about", "ok": "ok", "_headers": WRONG_HEADERS, "_redirects": WRONG_REDIRECTS + long}
    async with site(tmp_path, files, script=None) as pilot:
        assert (await get(pilot, "/ok")).status == 302
        assert (await get(pilot, "/about")).body == b"about"
        assert (await get(pilot, "/d")).headers["location"] == "/about"
        text = "\n".join(str(event.get("text", "")) for event in pilot.events)
        for line in (1, 2, 5, 6, 7, 8, 9, 11, 12, 13):
            assert f"public/_headers, line {line}:" in text, text
        for line in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 14):
            assert f"public/_redirects, line {line}:" in text, text
        for line in (3, 4, 10, 14, 15):
            assert f"public/_headers, line {line}:" not in text
        assert "must be 200, 301, 302 (as without one), 303, 307 or 308, not 404" in text


async def test_limits(tmp_path: Path) -> None:
    headers = "".join(f"/h{number}\n  X-N: {number}\n" for number in range(102))
    redirects = "".join(f"/s{number} /about\n" for number in range(2001))
    redirects += "".join(f"/d{number}/* /about\n" for number in range(102))
    files = {"h99": "", "h100": "", "about.html": "about", "_headers": headers, "_redirects": redirects}
    async with site(tmp_path, files, script=None) as pilot:
        assert (await get(pilot, "/h99")).headers["x-n"] == "99"
        assert "x-n" not in (await get(pilot, "/h100")).headers
        assert [(await get(pilot, path)).status for path in ("/s1999", "/s2000", "/d99/x", "/d100/x")] == [302, 404] * 2
        await pilot.says("_headers, line 201: is ignored: 100 rules are the most")
        await pilot.says("_redirects, line 2001: is ignored")
        await pilot.says("_redirects, line 2102: is ignored")
