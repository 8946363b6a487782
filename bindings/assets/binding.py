"""``env.ASSETS``, the host's half: the site, asked by the worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.assets.site import Site
from bindings.base import CallError, HostStream
from bindings.responder import Answer, RequestHead
from runtime.web import URL

_MAX_REDIRECTS = 20  # as the Fetch standard has it


class AssetsBinding(msgspec.Struct):
    name: str
    site: Site
    where: str  # for the banner
    client: str = "bindings.assets.worker:Fetcher"
    client_args: Mapping[str, Any] = {}

    def describe(self) -> tuple[str, str]:
        return "assets", self.where

    async def call(self, method: str, args: Sequence[Any]) -> object:
        """``fetch(method, url, headers, redirect)`` → [status, headers, URL, body], or a stream with the first three in
        its ``meta``. A redirect leads to this site, whatever its host, as upstream has it."""
        if method != "fetch":
            raise CallError("TypeError", f"env.{self.name} has no {method}(): it has fetch(request)")
        verb, href, headers, redirect = args
        url, pairs = URL(href), [(bytes(name), bytes(value)) for name, value in headers]
        for _ in range(_MAX_REDIRECTS):
            answer = await self.site.fetch(_head(verb, url, pairs))
            location = dict(answer.headers).get(b"location")
            if location is None or redirect == "manual":
                return await _sent(answer, verb, url)
            if redirect == "error":
                raise CallError("TypeError", f"{url} leads to {location.decode()}, and redirect is 'error'")
            url = URL(location.decode(), url)
            verb = "GET" if answer.status in (301, 302, 303) and verb != "HEAD" else verb
        raise CallError("TypeError", f"{href} leads to {_MAX_REDIRECTS} other places and more")


def _head(verb: str, url: URL, headers: list[tuple[bytes, bytes]]) -> RequestHead:
    return RequestHead(verb, url.protocol[:-1], url.host, url.pathname, url.search[1:], headers)


async def _sent(answer: Answer, verb: str, url: URL) -> object:
    size = len(answer.body) if isinstance(answer.body, bytes) else answer.body.length
    headers = [*answer.headers, *([] if answer.status == 304 else [(b"content-length", b"%d" % size)])]
    head = [answer.status, headers, url.href]
    if verb == "HEAD" and not isinstance(answer.body, bytes):
        await answer.body.aclose()
    if verb == "HEAD" or answer.status == 304:
        return [*head, None]
    return [*head, answer.body] if isinstance(answer.body, bytes) else HostStream(answer.body, {"head": head})


__all__ = ["AssetsBinding"]
