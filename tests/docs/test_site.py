"""docs/ as a site: it builds without a warning, every link of it leads somewhere, and a reader needs no network."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from browsing import chromium

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
PAGES = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}


class Page(HTMLParser):
    """``ids`` that a link may name, ``links`` to other pages, and what is ``loaded`` with it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids, self.links, self.loaded = set[str](), set[str](), set[str]()
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if (name := LOADED.get(tag)) in found:
            self.loaded.add(found[name])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. It is made elsewhere, so that it is made anew and nobody's build/ is touched."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs")
    (folder / "zensical.toml").write_text((ROOT / "zensical.toml").read_text("utf-8"))
    build = f"ARGS=build --strict --clean --config-file {folder}/zensical.toml"
    words = ["make", "-C", str(ROOT), "-o", f"{sys.prefix}/.docs", "docs", f"VENV={sys.prefix}", build]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.returncode, "No issues found" in done.stderr) == (0, True), done.stdout + done.stderr
    return folder / SETTINGS["site_dir"]


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {file.relative_to(site).as_posix(): Page(file) for file in site.rglob("*.html")}


def listed(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from listed(list(nav.values()))
    else:
        assert isinstance(nav, list)
        for entry in nav:
            yield from listed(entry)


def test_each_page_stands_in_the_navigation_once() -> None:
    assert sorted(listed(SETTINGS["nav"])) == sorted(PAGES)


def test_each_page_is_built(pages: dict[str, Page]) -> None:
    assert {page.removesuffix(".md") + ".html" for page in PAGES} <= set(pages)


def test_each_link_leads_to_a_page_and_a_heading_of_the_site(site: Path, pages: dict[str, Page]) -> None:
    dead = []
    for name, page in pages.items():
        for link in page.links | page.loaded:
            to = urlsplit(link)
            if to.scheme or (name == "404.html" and link.startswith("/")):  # which is shown at any depth
                continue
            file = (site / name).parent / unquote(to.path) if to.path else site / name
            file = (file / "index.html" if file.is_dir() else file).resolve()
            there = pages.get(file.relative_to(site.resolve()).as_posix()) if file.is_file() else None
            if not file.is_file() or (to.fragment and (there is None or unquote(to.fragment) not in there.ids)):
                dead.append((name, link))
    assert sum(len(page.links) for page in pages.values()) > 1000
    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[str, Page]) -> None:
    assert {file for page in pages.values() for file in page.loaded if urlsplit(file).netloc} == set()
    styles = [file.read_text("utf-8") for file in site.rglob("*.css")]
    assert styles
    assert not [found for text in styles for found in re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//\S+", text)]


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.browser
async def test_a_reader_searches_without_a_network(address: str) -> None:
    asked: list[str] = []
    async with chromium() as browser:
        page = await browser.new_page(color_scheme="dark")
        page.on("request", lambda request: asked.append(request.url))
        async with page.expect_response("**/workers/search*.js"):  # the page is alive
            await page.goto(f"{address}/index.html")
        await page.get_by_role("button", name="Search").first.click()
        await page.get_by_role("combobox").fill("hibernation")
        await page.get_by_role("option", name="Hibernation").first.click()
        await page.wait_for_url("**/bindings/websockets.html*")
        assert await page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
    assert [url for url in asked if urlsplit(url).scheme not in ("data", "blob") and not url.startswith(address)] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
async def test_no_page_is_wider_than_the_window(address: str, pages: dict[str, Page], width: int) -> None:
    async with chromium() as browser:
        page = await browser.new_page(viewport={"width": width, "height": 800})
        wide = []
        for name in sorted(pages):
            await page.goto(f"{address}/{name}")
            if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wide.append(name)
    assert wide == []
