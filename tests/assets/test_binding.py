"""``env.ASSETS.fetch``."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from serving import Served
from sites import get, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

BIG = os.urandom(900_000)
FILES: dict[str, str | bytes] = {
    "about.html": "about", "blog/index.html": "blog", "404.html": "lost", "big.bin": BIG,
    "_redirects": "/old /about 301\n/ext https://example.com/about\n/loop /loop\n", "_headers": "/*\n  X-All: 1\n",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with site(tmp_path_factory.mktemp("site"), FILES, not_found_handling="404-page") as running:
        yield running


async def test_it_answers_as_the_site_does_for_any_host(pilot: Served) -> None:
    answer = await get(pilot, "/via/about")
    assert (answer.status, answer.body, answer.headers["x-all"]) == (200, b"about", "1")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    answer = await get(pilot, "/via/nope")
    assert (answer.status, answer.body) == (404, b"lost")


async def test_redirects_are_followed_within_the_site(pilot: Served) -> None:
    for path, body in (("about.html", b"about"), ("old", b"about"), ("blog?x=1", b"blog"), ("ext", b"about")):
        answer = await get(pilot, f"/via/{path}")
        assert (answer.status, answer.body) == (200, body)
    manual = await get(pilot, "/manual/old")
    assert (manual.status, manual.headers["location"]) == (301, "/about")
    assert (await get(pilot, "/request/old")).status == 301  # a client's request is never followed
    assert (await get(pilot, "/via/loop")).status == 500


async def test_what_it_says_of_an_answer(pilot: Served) -> None:
    for path, url in (("about", "https://any.example/about"), ("old", "https://any.example/about")):
        status, address, redirected, size = json.loads((await get(pilot, f"/read/{path}")).body)
        assert (status, address, redirected, size) == (200, url, path == "old", 5)


async def test_methods_and_conditions_come_from_the_request(pilot: Served) -> None:
    tag = (await get(pilot, "/about")).headers["etag"]
    assert (await get(pilot, "/request/about", headers={"if-none-match": tag})).status == 304
    assert (await get(pilot, "/request/about", "POST")).status == 405
    head = await get(pilot, "/request/big.bin", "HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(BIG)))


async def test_a_large_file_passes_through_and_can_be_read(pilot: Served) -> None:
    answer = await get(pilot, "/via/big.bin")
    assert (answer.body, answer.headers["content-length"]) == (BIG, str(len(BIG)))
    assert json.loads((await get(pilot, "/read/big.bin")).body)[3] == len(BIG)
