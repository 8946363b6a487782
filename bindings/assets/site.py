"""A site: which of its files, if any, answers a request, and with which headers.

Facts: docs/reference/bindings.md#static-assets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bindings.assets import html, paths
from bindings.assets.files import Files
from bindings.assets.first import WorkerFirst
from bindings.assets.paths import Target
from bindings.assets.rules.headers import RawHeaders
from bindings.assets.settings import AssetsTable, base_of
from bindings.responder import Answer, RequestHead
from runtime.web import URL

_CACHE_CONTROL = (b"cache-control", b"public, max-age=0, must-revalidate")
_CACHE_STATUS = (b"cf-cache-status", b"HIT")
_NAVIGATION_DATE = "2025-04-01"  # the compatibility date from which on a browser's navigation prefers assets
_NAVIGATION_ON, _NAVIGATION_OFF = "assets_navigation_prefers_asset_serving", "assets_navigation_has_no_effect"


class _Outcome(NamedTuple):
    """A file with its status, or a status and perhaps where to go."""

    status: int
    file: str = ""
    location: str = ""


class Site:
    """``has_script``: there is a worker that gets what no asset answers."""

    def __init__(self, table: AssetsTable, files: Files, *, has_script: bool, navigation: bool) -> None:
        self._table, self._files, self._has_script, self._navigation = table, files, has_script, navigation
        self._base = base_of(table.base_path) or "/"
        self._first = WorkerFirst(table.run_worker_first)

    async def answer(self, head: RequestHead) -> Answer | None:
        """``bindings.base.Responder``: None for what is the worker's."""
        target = paths.target(head.path)
        if not self._has_script:
            return await self._respond(head, target, self._outcome(head, target))
        first = self._first.says(target.path)
        if first is True:
            return None
        outcome = self._outcome(head, target, first is False or self._replaces_worker(head))
        if outcome is None and first is None:
            return None
        return await self._respond(head, target, outcome)

    async def fetch(self, head: RequestHead) -> Answer:
        """What ``env.ASSETS.fetch`` gives."""
        target = paths.target(head.path)
        return await self._respond(head, target, self._outcome(head, target))

    def _replaces_worker(self, head: RequestHead) -> bool:
        """Whether ``not_found_handling`` answers where there is no file, and not the worker."""
        if self._first.rules:
            return True
        return self._navigation and (b"sec-fetch-mode", b"navigate") in head.headers

    def _outcome(self, head: RequestHead, target: Target, not_found: bool = True) -> _Outcome | None:
        rules = self._files.rules()
        if self._below_base(target.decoded) is None:
            return None
        rule = rules.redirects.match(_hostname(head.host), target.path) if rules.redirects else None
        url = URL.parse(rule.to, f"{head.scheme}://{head.host}{target.path}") if rule else None
        if rule is None or url is None:  # None: what stands for a placeholder makes it no URL
            return self._at(head, target, not_found)
        if rule.status != 200:
            return _Outcome(rule.status, location=_location(url, head))
        moved_to = Target(url.pathname, paths.decode(url.pathname))
        return self._at(head, moved_to, True, moved=True) or _Outcome(404)

    def _at(self, head: RequestHead, target: Target, not_found: bool, moved: bool = False) -> _Outcome | None:
        inside = self._below_base(target.decoded)
        if inside is None:
            return None
        found = None if moved else self._base_itself(target.decoded)
        found = found or html.page(inside, self._table.html_handling, self._files.exists)
        if found is None and not_found:
            found = html.not_found(inside, self._table.not_found_handling, self._files.exists)
        if found is None:
            return None
        if head.method not in ("GET", "HEAD"):
            return _Outcome(405)
        home = target.decoded if found.home is None else self._below(found.home)
        if found.home is not None or paths.encode(home) != target.path:
            query = f"?{head.query}" if head.query else ""
            return _Outcome(307, location=head.prefix + paths.encode(home) + query)
        return _Outcome(found.status, found.file)

    def _below_base(self, path: str) -> str | None:
        """The path in the directory; None: the site is elsewhere."""
        if self._base == "/":
            return path
        if path == self._base[:-1]:
            return "/"
        return path[len(self._base) - 1 :] if path.startswith(self._base) else None

    def _below(self, path: str) -> str:
        return self._base if path == "/" and self._base != "/" else self._base[:-1] + path

    def _base_itself(self, path: str) -> html.Found | None:
        """``/app`` leads to ``/app/``, or the other way round, where the site has a first page."""
        handling, dropped = self._table.html_handling, self._table.html_handling == "drop-trailing-slash"
        away_from = self._base if dropped else self._base[:-1]
        if self._base == "/" or handling == "none" or path != away_from or not self._files.exists("/index.html"):
            return None
        return html.Found(home="" if dropped else "/")

    async def _respond(self, head: RequestHead, target: Target, outcome: _Outcome | None) -> Answer:
        outcome = outcome or _Outcome(404)
        answer = await self._sent(head, outcome) if outcome.file else None
        if answer is None:
            location = [(b"location", outcome.location.encode())] if outcome.location else []
            answer = Answer(404 if outcome.file else outcome.status, location)
        rules = self._files.rules()
        if not rules.headers or self._below_base(target.decoded) is None:
            return answer
        return answer._replace(headers=rules.headers.apply(_hostname(head.host), target.path, answer.headers))

    async def _sent(self, head: RequestHead, outcome: _Outcome) -> Answer | None:
        """None: the file has gone meanwhile."""
        opened = await self._files.open(outcome.file)
        if opened is None:
            return None
        asset, body = opened
        headers, matched = _conditions(head.headers, asset.tag)
        headers = [*asset.headers, *headers]
        if not matched:
            return Answer(outcome.status, headers, body)
        if not isinstance(body, bytes):
            await body.aclose()
        return Answer(304, headers)


def prefers_navigation(date: str | None, flags: tuple[str, ...]) -> bool:
    """Whether ``Sec-Fetch-Mode: navigate`` has an effect, for a compatibility date and flags."""
    if _NAVIGATION_ON in flags or _NAVIGATION_OFF in flags:
        return _NAVIGATION_ON in flags
    return date is not None and date >= _NAVIGATION_DATE


def _conditions(headers: Sequence[tuple[bytes, bytes]], tag: str) -> tuple[RawHeaders, bool]:
    """(the headers that depend on the request, whether it has this very content)."""
    cacheable, matched = True, False
    for name, value in headers:
        if name in (b"authorization", b"range"):
            cacheable = False
        elif name == b"if-none-match":
            tags = (given.strip().removeprefix(b"W/") for given in value.split(b","))
            matched = matched or b'"%b"' % tag.encode() in tags
    return ([_CACHE_CONTROL, _CACHE_STATUS] if cacheable else [_CACHE_STATUS]), matched


def _hostname(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()


def _location(url: URL, head: RequestHead) -> str:
    """A redirect's target, with the request's query unless it has its own. One that stays here is a path."""
    search = url.search or (f"?{head.query}" if head.query else "")
    here = url.origin == URL(f"{head.scheme}://{head.host}").origin
    start = head.prefix if here else f"{url.protocol}//{url.host}"
    return f"{start}{url.pathname}{search}{url.hash}"


__all__ = ["Site", "prefers_navigation"]
