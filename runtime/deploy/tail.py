"""``pilot tail``: a worker's requests, prints and exceptions as they happen."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click
import msgspec

from runtime.controls import clean, clean_json, clean_lines
from runtime.deploy.api import Host
from runtime.errors import UserError


def follow(host: Host, name: str, filters: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Until Ctrl-C."""
    tail = host.call("POST", f"scripts/{name}/tails", {"filters": list(filters)})
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(_print(tail["url"], name, as_json))
    finally:
        host.call("DELETE", f"scripts/{name}/tails/{tail['id']}")


async def _print(url: str, name: str, as_json: bool) -> None:
    import aiohttp

    try:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url, protocols=("trace-v1",), heartbeat=30, max_msg_size=16 << 20) as socket,
        ):
            click.echo(f"tailing {name}; Ctrl-C stops", err=True)
            async for message in socket:
                if message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                    event = msgspec.json.decode(message.data)
                    click.echo(clean_json(msgspec.json.encode(event).decode()) if as_json else pretty(event))
    except aiohttp.ClientError as error:
        host = url.partition("/tails/")[0]
        remedy = "Look whether the host is there:  pilot status"
        raise UserError(f"the tail cannot be read: {error}", where=host, remedy=remedy) from None


def pretty(event: dict[str, Any]) -> str:
    """One line for the request or what else it was, and one for each thing printed or raised."""
    at = datetime.datetime.fromtimestamp(event["eventTimestamp"] / 1000).strftime("%H:%M:%S")
    about = event["event"] or {}
    lines = []
    if about:
        colour = {"ok": "green", "canceled": "yellow"}.get(event["outcome"], "red")
        what, how = _said(about, event)
        lines.append(f"{at}  {clean(what)}  {click.style(clean(how), fg=colour)}")
    lines += [f"{at}  {clean(item['level']):5}  {clean_lines(_joined(item['message']))}" for item in event["logs"]]
    raised = ((click.style(clean(item["name"]), fg="red"), item["message"]) for item in event["exceptions"])
    return "\n".join([*lines, *(f"{at}  {name}: {clean_lines(message)}" for name, message in raised)])


def _said(about: dict[str, Any], event: dict[str, Any]) -> tuple[str, str]:
    """(what it was, how it went)."""
    outcome, whose = event["outcome"], event.get("entrypoint", "")
    match about:
        case {"request": {"method": method, "url": url}}:
            return f"{method:6} {url}", str(about.get("response", {}).get("status", outcome))
        case {"cron": cron}:
            return f'cron   "{cron}"', outcome
        case {"queue": queue, "batchSize": size}:
            return f"queue  {queue} ({size} message{'' if size == 1 else 's'})", outcome
        case {"scheduledTime": _}:
            return f"alarm  {whose}", outcome
        case {"rpcMethod": method}:
            return f"{'flow' if event.get('executionModel') == 'workflow' else 'rpc':6} {whose}.{method}", outcome
        case {"getWebSocketEvent": {"webSocketEventType": kind}}:
            return f"socket {whose} {kind}", outcome
    return " ".join(f"{name}={value}" for name, value in about.items()), outcome


def _joined(words: Sequence[object]) -> str:
    return " ".join(map(str, words))


__all__ = ["follow", "pretty"]
