"""``fetch(url, cf={"cacheTtl": 60})``: answers of other servers in the worker's default cache, in the isolate.

https://developers.cloudflare.com/workers/runtime-apis/request/#the-cf-property-requestinitcfproperties
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from runtime.values import JsException
from runtime.web import Request, Response
from runtime.web.scope import current_ctx

Send = Callable[[Request], Awaitable[Response]]
Keep = Callable[[str, Response, float | None], Awaitable[None]]  # key, answer, seconds; None: as its headers say

ASKED = frozenset({"cacheTtl", "cacheTtlByStatus", "cacheEverything"})
_UNSHARED = ("authorization", "cookie", "range")  # of a request: its answer is for nobody else, or not all of it
_DEFAULTS = {200: 7200, 301: 7200, 302: 1200, 303: 1200, 404: 180, 410: 180}  # seconds, where the headers say none
_FRESHNESS = ("cache-control", "expires")


def wanted(request: Request) -> bool:
    """Whether its answer may come from a cache, and go there."""
    cf = request.cf
    return (
        isinstance(cf, Mapping)
        and not ASKED.isdisjoint(cf)
        and not any(request.headers.has(name) for name in _UNSHARED)
    )


def key_of(request: Request) -> str:
    return str(request.cf.get("cacheKey") or request.url)


async def keep_a_copy(request: Request, answer: Response, keep: Keep) -> None:
    """While the worker reads the answer; what comes of it is nobody's concern."""
    seconds = _seconds(request.cf, answer)
    if answer.headers.has("set-cookie") or answer.status == 206 or (seconds is not None and seconds <= 0):
        return
    kept = asyncio.ensure_future(_kept(keep(key_of(request), answer.clone(), seconds)))
    current_ctx.get().wait_until(kept)


async def _kept(keeping: Awaitable[None]) -> None:
    with suppress(JsException, TypeError, OSError):
        await keeping


def _seconds(cf: Mapping[str, Any], answer: Response) -> float | None:
    """For how long; 0: not at all; None: as the answer's headers say."""
    for statuses, seconds in (cf.get("cacheTtlByStatus") or {}).items():
        first, _, last = str(statuses).partition("-")
        with suppress(ValueError):
            if int(first) <= answer.status <= int(last or first):
                return float(seconds)
    if cf.get("cacheTtl") is not None:
        return float(cf["cacheTtl"]) if answer.status in _DEFAULTS else 0
    if not cf.get("cacheEverything"):
        return 0
    if any(answer.headers.has(name) for name in _FRESHNESS):
        return None
    return _DEFAULTS.get(answer.status, 0)


__all__ = ["keep_a_copy", "key_of", "wanted"]
