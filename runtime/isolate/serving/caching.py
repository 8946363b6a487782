"""``fetch(url, cf=...)``: what ``cf`` says of caching is the affair of the global ``caches``, where there is one."""

from __future__ import annotations

from typing import Any

from runtime.isolate import ambient
from runtime.web import Request, Response
from runtime.web.fetching import Transport


def through_caches(send: Transport) -> Transport:
    async def fetched(request: Request) -> Response:
        if request.method != "GET" or not request.cf:
            return await send(request)
        caches: Any = ambient.find("caches")
        return await (send(request) if caches is None else caches._fetched(request, send))

    return fetched


__all__ = ["through_caches"]
