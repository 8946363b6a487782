"""``[triggers] crons = ["*/5 * * * *"]``: a worker's ``scheduled`` runs by the clock, and when it is asked to.

https://developers.cloudflare.com/workers/configuration/cron-triggers/ Facts: docs/reference/bindings.md#cron.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import msgspec

from bindings.base import Binding, Product, ProductContext, Route
from bindings.deploying import HostApi
from runtime.config import Config
from runtime.web import Request, Response

URLS = ("/cdn-cgi/local/scheduled", "/cdn-cgi/handler/scheduled", "/cdn-cgi/mf/scheduled")
SCHEDULES = "/client/v4/accounts/{account}/workers/scripts/{name}/schedules"


class Triggers(msgspec.Struct, frozen=True):
    crons: list[str] = []


class CronSettings(msgspec.Struct, frozen=True):
    cron_clock: bool | None = None  # whether crons run by the clock; None: on a host they do


class CronTriggers(Product):
    key, label, shape, inherited = "triggers", "Cron Triggers", Triggers, True
    fronts = "calls"
    paths = ("/client/v4/", "/cdn-cgi/")
    settings = CronSettings
    commands: ClassVar[Mapping[str, str]] = {"cron": "bindings.cron.commands:cron"}

    @classmethod
    def check(cls, config: Config) -> None:
        if not (crons := cls.crons(config)):
            return
        from bindings.schedule.expression import BadExpression, parse

        for number, text in enumerate(crons):
            try:
                parse(text)
            except BadExpression as error:
                what = f"{text!r} is no cron expression: {error}"
                remedy = 'As in:  crons = ["*/5 * * * *", "0 9 * * MON-FRI"]'
                raise config.error(cls.key, what, f"crons[{number}]", remedy=remedy) from None

    @classmethod
    def crons(cls, config: Config) -> Sequence[str]:
        return config.typed(cls.key, Triggers).crons if cls.key in config.products else ()

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if context.on_host:
            from bindings.cron.clock import clock

            clock(context).begin()
            clock(context).ticking = _ticks(context.config, True)

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (clock := context.shared.pop(cls.key, None)) is not None:
            await clock.aclose()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if context.on_host or (not (crons := cls.crons(config)) and cls.key not in context.shared):
            return ()
        from bindings.cron.clock import clock

        ours = clock(context)
        ours.serve(config.path or config.root, config.name, crons)
        if context.leads(config):
            ours.ticking = _ticks(config, False)
        ours.begin()
        return ()

    @classmethod
    def remarks(cls, context: ProductContext) -> Sequence[str]:
        clock = context.shared.get(cls.key)
        if context.on_host or clock is None:
            return ()
        named = [f'cron "{cron}"' for crons in clock.local.values() for cron in crons]
        if not named or clock.ticking:
            return [f"{name}   by the clock" for name in named]
        return [f"{', '.join(named)}   not by the clock here: [pilot] cron_clock = true, or GET {context.url}{URLS[0]}"]

    @classmethod
    def follow_up(cls, config: Config, host: HostApi) -> None:
        if cls.key in config.products:
            host.call("PUT", f"scripts/{config.name}/schedules", [{"cron": cron} for cron in cls.crons(config)])

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        if not context.on_host:
            return [Route("GET", path, partial(_run_here, context)) for path in URLS]
        below = ("", "/run")
        return [Route("*", SCHEDULES + path, partial(_deployed, context, path), guarded=True) for path in below]

    @classmethod
    def status(cls, context: ProductContext) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        if (clock := context.shared.get(cls.key)) is None:
            return {}
        found = [(worker, cron) for worker, crons in clock.crons().items() for cron in crons]
        rows = [{"worker": worker, "cron": cron, "last": clock.last.get((worker, cron), "")} for worker, cron in found]
        return {"crons": rows} if rows else {}


async def _run_here(context: ProductContext, request: Request) -> Response:
    from bindings.cron.routes import run_here

    return await run_here(context, request)


async def _deployed(context: ProductContext, below: str, request: Request, account: str, name: str) -> Response:
    from bindings.cron.routes import api

    return await api(context)(request, f"{name}/schedules{below}")


def _ticks(config: Config | None, otherwise: bool) -> bool:
    asked = config.settings(CronSettings).cron_clock if config is not None else None
    return otherwise if asked is None else asked


__all__ = ["URLS", "CronTriggers"]
