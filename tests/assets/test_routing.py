"""Which requests are the assets' and which the worker's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from serving import Served
from sites import get, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILES = {"index.html": "home", "about.html": "about", "404.html": "lost", "blog/404.html": "lost in the blog",
         "api/static.txt": "file", "_redirects": "/old /about 301\n"}  # fmt: skip
NAVIGATES = {"sec-fetch-mode": "navigate"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plain(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with site(tmp_path_factory.mktemp("plain"), FILES, not_found_handling="404-page") as pilot:
        yield pilot


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ruled(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    rules = ["/about", "/api/*", "!/api/static*"]
    folder = tmp_path_factory.mktemp("ruled")
    async with site(folder, FILES, not_found_handling="404-page", run_worker_first=rules) as pilot:
        yield pilot


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """Without a worker's script."""
    async with site(tmp_path_factory.mktemp("alone"), FILES, script=None) as pilot:
        yield pilot


async def test_what_is_there_is_the_assets_whatever_the_method(plain: Served) -> None:
    assert (await get(plain, "/about")).body == b"about"
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await get(plain, "/about", method)
        assert (answer.status, answer.body) == (405, b"")
    assert (await get(plain, "/old", "POST")).status == 301
    assert (await get(plain, "/about", "HEAD")).headers["content-length"] == "5"


async def test_what_is_not_there_is_the_workers(plain: Served) -> None:
    assert (await get(plain, "/api/x", "POST")).body == b"worker POST"
    assert (await get(plain, "/nope")).body == b"worker GET"


async def test_a_browsers_navigation_prefers_the_page_for_what_is_not_found(plain: Served) -> None:
    answer = await get(plain, "/nope", headers=NAVIGATES)
    assert (answer.status, answer.body) == (404, b"lost")
    assert (await get(plain, "/nope", "POST", NAVIGATES)).status == 405
    assert (await get(plain, "/nope", headers={"sec-fetch-mode": "cors"})).body == b"worker GET"


@pytest.mark.parametrize("top", ['compatibility_date = "2025-03-31"\n',
                                 'compatibility_flags = ["assets_navigation_has_no_effect"]\n'])  # fmt: skip
async def test_or_not(tmp_path: Path, top: str) -> None:
    async with site(tmp_path, FILES, top=top, not_found_handling="404-page") as pilot:
        assert (await get(pilot, "/nope", headers=NAVIGATES)).body == b"worker GET"


async def test_rules_name_what_the_worker_gets_first(ruled: Served) -> None:
    assert (await get(ruled, "/about")).body == b"worker GET"
    assert (await get(ruled, "/api/static.txt")).body == b"file"
    assert (await get(ruled, "/api/static/nope")).status == 404  # an exception is the assets', there or not
    assert (await get(ruled, "/api/deeper/x")).body == b"worker GET"
    answer = await get(ruled, "/nope")  # with rules the worker gets nothing but what they name
    assert (answer.status, answer.body) == (404, b"lost")


async def test_the_worker_first_always(tmp_path: Path) -> None:
    async with site(tmp_path, FILES, run_worker_first=True) as pilot:
        assert (await get(pilot, "/about")).body == b"worker GET"
        assert (await get(pilot, "/old")).body == b"worker GET"
        assert (await get(pilot, "/via/about")).body == b"about"


async def test_without_a_worker_there_is_always_an_answer(alone: Served) -> None:
    assert (await get(alone, "/about")).body == b"about"
    for method in ("GET", "POST"):
        answer = await get(alone, "/nope", method)
        assert (answer.status, answer.body) == (404, b"")
    with_processes = [event for event in alone.events if event["event"] in ("script_error", "fault")]
    assert not with_processes


async def test_the_nearest_page_says_that_nothing_was_found(tmp_path: Path) -> None:
    async with site(tmp_path, FILES, script=None, not_found_handling="404-page") as pilot:
        assert (await get(pilot, "/x/y/z")).body == b"lost"
        answer = await get(pilot, "/blog/x/y")
        assert (answer.status, answer.body) == (404, b"lost in the blog")


async def test_a_single_page_application(tmp_path: Path) -> None:
    async with site(tmp_path, FILES, script=None, not_found_handling="single-page-application") as pilot:
        for path in ("/x/y", "/x.css", "/about/x"):
            answer = await get(pilot, path)
            assert (answer.status, answer.body) == (200, b"home")


@pytest.mark.parametrize(
    ("html", "answers"),
    [("auto-trailing-slash", {"/app": "/app/", "/app/": "home", "/app/about.html": "/app/about"}),
     ("drop-trailing-slash", {"/app/": "/app", "/app": "home", "/app/about.html": "/app/about"}),
     ("none", {"/app/index.html": "home", "/app/": None})],
)  # fmt: skip
async def test_a_site_below_a_path(tmp_path: Path, html: str, answers: dict[str, str | None]) -> None:
    async with site(tmp_path, FILES, script=None, base_path="/app", html_handling=html) as pilot:
        for path, expected in {**answers, "/about": None, "/apple": None, "/old": None}.items():
            answer = await get(pilot, path)
            given = answer.headers.get("location") or answer.body.decode() or None
            assert (given, path) == (expected, path)
