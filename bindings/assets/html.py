"""``html_handling`` and ``not_found_handling``: which file a path means, and where a page is at home.

A page has one address, its home: ``/blog/index.html`` is at ``/blog/`` (or, with drop-trailing-slash, at ``/blog``),
and ``/about.html`` at ``/about`` (or, with force-trailing-slash, at ``/about/``). Every other way to write it leads
there, as long as it is that page which answers there. Paths are decoded; ``exists`` knows files by theirs.

https://developers.cloudflare.com/workers/static-assets/routing/advanced/html-handling/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

Exists = Callable[[str], bool]

_INDEX = "/index.html"
_ENDINGS = (_INDEX, "/index", "/", ".html")  # what a page's path may end in, besides nothing
_HOMES = {  # handling → what stands for /index.html at home, and what for .html
    "auto-trailing-slash": ("/", ""),
    "force-trailing-slash": ("/", "/"),
    "drop-trailing-slash": ("", ""),
}


class Found(NamedTuple):
    """A file to send with ``status``, or else the ``home`` to go to."""

    file: str = ""
    home: str | None = None
    status: int = 200


class _Page(NamedTuple):
    file: str
    home: str


def page(path: str, handling: str, exists: Exists) -> Found | None:
    """What ``path`` means; None: nothing."""
    if handling == "none":
        return Found(path) if exists(path) else None
    if not path.endswith((_INDEX, ".html")) and exists(path):
        return Found(path)
    for candidate in _pages(path, handling):
        if not exists(candidate.file):
            continue
        if candidate.home == path:
            return Found(candidate.file)
        if _served(candidate.home, handling, exists) == candidate.file:
            return Found(home=candidate.home)
        if candidate.file == path:
            return Found(path)
    return None


def not_found(path: str, handling: str, exists: Exists) -> Found | None:
    """What answers instead of nothing."""
    if handling == "single-page-application":
        return Found(_INDEX) if exists(_INDEX) else None
    while handling == "404-page" and path:
        path = path.rpartition("/")[0]
        if exists(f"{path}/404.html"):
            return Found(f"{path}/404.html", status=404)
    return None


def _served(path: str, handling: str, exists: Exists) -> str | None:
    """The file that answers there without leading on."""
    if exists(path):
        return path
    at_home = (candidate.file for candidate in _pages(path, handling) if candidate.home == path)
    return next(filter(exists, at_home), None)


def _pages(path: str, handling: str) -> Iterator[_Page]:
    """The pages that ``path`` may mean, the likeliest first."""
    ending = next(filter(path.endswith, _ENDINGS), None)
    if ending is not None:
        index, flat = _pair(path.removesuffix(ending), handling)
        yield from (flat, index) if ending == ".html" else (index, flat)
    yield from reversed(_pair(path, handling))


def _pair(stem: str, handling: str) -> tuple[_Page, _Page]:
    index, flat = _HOMES[handling]
    return _Page(stem + _INDEX, stem + index or "/"), _Page(f"{stem}.html", stem + flat)


__all__ = ["Exists", "Found", "not_found", "page"]
