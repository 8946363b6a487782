"""``html_handling``: where a page answers, and what leads there, in all four ways of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from yarl import URL

from bindings.assets.html import Found, page
from serving import Served, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTO, FORCE, DROP, NONE = "auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"
PAGES = ("index.html", "about.html", "blog/index.html", "dir.html", "dir/index.html")
MISSING = "not found"
# path → what it gives with each handling: a page, "→ path", or nothing
TABLE: dict[str, tuple[str, str, str, str]] = {
    "/": ("index.html", "index.html", "index.html", MISSING),
    "/index": ("→ /", "→ /", "→ /", MISSING),
    "/index.html": ("→ /", "→ /", "→ /", "index.html"),
    "/about": ("about.html", "→ /about/", "about.html", MISSING),
    "/about/": ("→ /about", "about.html", "→ /about", MISSING),
    "/about.html": ("→ /about", "→ /about/", "→ /about", "about.html"),
    "/about/index": ("→ /about", "→ /about/", "→ /about", MISSING),
    "/about/index.html": ("→ /about", "→ /about/", "→ /about", MISSING),
    "/blog": ("→ /blog/", "→ /blog/", "blog/index.html", MISSING),
    "/blog/": ("blog/index.html", "blog/index.html", "→ /blog", MISSING),
    "/blog/index.html": ("→ /blog/", "→ /blog/", "→ /blog", "blog/index.html"),
    "/blog/index": ("→ /blog/", "→ /blog/", "→ /blog", MISSING),
    "/blog.html": ("→ /blog/", "→ /blog/", "→ /blog", MISSING),
    "/dir": ("dir.html", "→ /dir/", "dir.html", MISSING),
    "/dir/": ("dir/index.html", "dir/index.html", "→ /dir", MISSING),
    "/dir.html": ("→ /dir", "dir.html", "→ /dir", "dir.html"),
    "/dir/index.html": ("→ /dir/", "→ /dir/", "dir/index.html", "dir/index.html"),
    "/page.htm": ("page.htm", "page.htm", "page.htm", "page.htm"),  # no page to it
    "/page": (MISSING, MISSING, MISSING, MISSING),
    # another way to write a path leads to the one way
    "/%61bout": ("→ /about", "→ /about/", "→ /about", MISSING),
    "//about": ("→ /about", "→ /about/", "→ /about", MISSING),
    "/a%20b@c.txt": ("→ /a%20b%40c.txt",) * 4,
    "/a%20b%40c.txt": ("a b@c.txt",) * 4,
    "/f%c3%bc.txt": ("→ /f%C3%BC.txt",) * 4,
    "/f%C3%BC.txt": ("fü.txt",) * 4,
    # a query goes along
    "/about.html?x=1&y=2": ("→ /about?x=1&y=2", "→ /about/?x=1&y=2", "→ /about?x=1&y=2", "about.html"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=[AUTO, FORCE, DROP, NONE])
async def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("site")
    for name in (*PAGES, "page.htm", "a b@c.txt", "fü.txt"):
        (folder / "public" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "public" / name).write_text(name)
    config = f'name = "site"\n[assets]\ndirectory = "public"\nhtml_handling = "{request.param}"\n'
    (folder / "wrangler.toml").write_text(config)
    async with serving(folder) as pilot:
        yield pilot


async def gives(site: Served, path: str) -> str:
    address = URL(site.url + path, encoded=True)
    async with site.http.get(address, allow_redirects=False) as response:
        if response.status == 307:
            assert await response.read() == b""
            return f"→ {response.headers['location']}"
        return await response.text() if response.status == 200 else MISSING if response.status == 404 else "?"


@pytest.mark.parametrize("path", TABLE)
async def test_the_table(site: Served, path: str) -> None:
    handling = (site.folder / "wrangler.toml").read_text().split('"')[-2]
    assert await gives(site, path) == TABLE[path][(AUTO, FORCE, DROP, NONE).index(handling)]


async def test_a_file_that_has_the_pages_name_keeps_it() -> None:
    files = {"/about", "/about.html", "/index/index.html"}
    assert page("/about", AUTO, files.__contains__) == Found("/about")
    assert page("/about.html", AUTO, files.__contains__) == Found("/about.html")  # it is not what /about gives
    assert page("/index", AUTO, files.__contains__) == Found(home="/index/")
