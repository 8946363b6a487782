"""The addresses of crons: the one that has one run in ``pilot dev``, and those of Cloudflare's API on a host."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from bindings.base import ProductContext
from bindings.cron.clock import MAX_CRONS, clock, crons_in
from bindings.rest import Api, ApiError, body_of, query_of
from bindings.schedule.expression import BadExpression, parse
from runtime.web import Request, Response

NO_SCRIPT, BAD_CRON, NO_CRON = 10007, 10100, 10101


class Run(msgspec.Struct):
    cron: str | None = None
    time: int | None = None


async def run_here(context: ProductContext, request: Request) -> Response:
    """``?cron=EXPR&time=MS&format=json``: any expression, and the time as it is given."""
    query, served = query_of(request), clock(context)
    worker = next(iter(served.local), context.config.name if context.config else "")
    ran = await served.run(worker, query.get("cron", ""), _time(query.get("time")))
    status = 200 if ran.outcome == "ok" else 500
    if query.get("format") == "json":
        return Response(msgspec.json.encode(ran.shown()), status=status, headers={"content-type": "application/json"})
    return Response(ran.outcome, status=status, headers={"content-type": "text/plain;charset=UTF-8"})


def api(context: ProductContext) -> Api:
    """A worker's schedules on a host: ``GET``, ``PUT``, and ``POST .../run``."""
    return Api("workers/scripts", _Schedules(context).entries())


class _Schedules:
    def __init__(self, context: ProductContext) -> None:
        self._context = context

    def entries(self) -> list[tuple[str, str, Any]]:
        return [
            ("GET", "{name}/schedules", self.get),
            ("PUT", "{name}/schedules", self.put),
            ("POST", "{name}/schedules/run", self.run),
        ]

    async def get(self, request: Request, name: str) -> object:
        return {"schedules": [{"cron": cron} for cron in self._of(name)]}

    async def put(self, request: Request, name: str) -> object:
        given = await body_of(request, list[dict[str, Any]])
        self._of(name)
        crons = crons_in(given)
        if len(crons) > MAX_CRONS:
            raise ApiError(400, BAD_CRON, f"{len(crons)} cron triggers; a worker has at most {MAX_CRONS}")
        for text in crons:
            _check(text)
        kept = [{"cron": text} for text in crons]
        registry = self._context.registry
        assert registry is not None
        await asyncio.to_thread(lambda: registry.change(name, schedules=kept))
        return {"schedules": kept}

    async def run(self, request: Request, name: str) -> object:
        """``{"cron"}``: that one, configured or not; without it the only one there is."""
        asked, crons = await body_of(request, Run), self._of(name)
        if asked.cron is None and len(crons) != 1:
            listed = ", ".join(f'"{cron}"' for cron in crons) or "none"
            raise ApiError(400, NO_CRON, f"which cron? There are: {listed}")
        at = _now() if asked.time is None else asked.time
        ran = await clock(self._context).run(name, crons[0] if asked.cron is None else asked.cron, at)
        return ran.shown()

    def _of(self, name: str) -> list[str]:
        registry = self._context.registry
        settings = registry.settings(name) if registry is not None else None
        if settings is None:
            raise ApiError(404, NO_SCRIPT, "This Worker does not exist on your account.")
        return crons_in(settings.get("schedules"))


def _check(text: str) -> None:
    try:
        parse(text)
    except BadExpression as error:
        raise ApiError(400, BAD_CRON, f"invalid cron string: {text[:100]}: {error}") from None


def _time(given: str | None) -> int:
    """Milliseconds; now, where it says none."""
    try:
        return int(float(given or "x"))
    except (ValueError, OverflowError):
        return _now()


def _now() -> int:
    return int(time.time() * 1000)


__all__ = ["api", "run_here"]
