"""``pilot cron``: what runs when, and a run at once."""

from __future__ import annotations

import sys
from typing import Any
from urllib.parse import quote, urlencode

import click

from bindings.cron.product import URLS, CronTriggers
from bindings.schedule.expression import BadExpression, now, parse
from bindings.target import Where, with_target
from runtime.deploy.api import Host
from runtime.errors import UserError

NAME = click.option("--name", help="The worker, with --host. Default: the configuration's.")


@click.group(short_help="Cron triggers: what runs when.")
def cron() -> None:
    """Cron triggers: of the worker here, or of one on a host."""


@cron.command("list", short_help="List them, and when each is due next.")
@NAME
@with_target
def list_(name: str | None, where: Where) -> None:
    """List the cron triggers, and when each is due next (UTC)."""
    rows = [{"cron": text, "next": _next(text)} for text in _crons(where, name)]
    text = "\n".join(f"{row['cron']:24} {row['next'] or 'never'}" for row in rows)
    where.tell(rows, text or "there is none")


@cron.command("run", short_help="Run one now.")
@click.argument("expression", required=False)
@click.option("--time", "at", type=int, help="controller.scheduledTime, in milliseconds since 1970. Default: now.")
@click.option("--port", type=click.IntRange(1, 65535), help="Of the running pilot dev. Default: the configuration's.")
@NAME
@with_target
def run(expression: str | None, at: int | None, port: int | None, name: str | None, where: Where) -> None:
    """Run the cron EXPRESSION now, in the running pilot dev or on a host; without it, the only one there is."""
    if expression is None:
        expression = _only(_crons(where, name))
    if where.host is None:
        ran = _run_here(where, expression, at, port)
    else:
        body = {"cron": expression, "time": at}
        ran = Host.chosen(where.host or None).call("POST", f"{_path(where, name)}/run", body)
    where.tell(ran, ran["outcome"])
    sys.exit(ran["outcome"] != "ok")


def _run_here(where: Where, expression: str, at: int | None, port: int | None) -> Any:
    url = f"http://127.0.0.1:{port or where.config.dev.port or 8787}"
    query = {"cron": expression, "format": "json"} | ({} if at is None else {"time": at})
    return ask(f"{url}{URLS[0]}?{urlencode(query)}", url)


def ask(address: str, url: str) -> Any:
    """What a running ``pilot dev`` answers there, with 200 or 500. Raises UserError."""
    import asyncio

    import aiohttp
    import msgspec

    async def get() -> Any:
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            return msgspec.json.decode(await response.read())

    try:
        return asyncio.run(get())
    except aiohttp.ClientError:
        raise UserError("no pilot dev answers there", where=url, remedy="Start it, or name its port:  --port") from None
    except msgspec.DecodeError:
        raise UserError("what answers there is no pilot dev", where=url, remedy="Name its port:  --port") from None


def _crons(where: Where, name: str | None) -> list[str]:
    if where.host is None:
        return list(CronTriggers.crons(where.config))
    found = Host.chosen(where.host or None).call("GET", _path(where, name))
    return [item["cron"] for item in found["schedules"]]


def _path(where: Where, name: str | None) -> str:
    return f"scripts/{quote(name or where.config.name, '')}/schedules"


def _only(crons: list[str]) -> str:
    if len(crons) != 1:
        listed = ", ".join(f'"{text}"' for text in crons)
        raise click.UsageError(f"which cron? There are: {listed}" if crons else "the worker has no crons; name one")
    return crons[0]


def _next(text: str) -> str | None:
    try:
        due = parse(text).next_after(now())
    except BadExpression as error:
        return str(error)
    return due.isoformat(" ", "minutes") if due is not None else None


__all__ = ["cron"]
