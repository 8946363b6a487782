"""Secrets. As on Cloudflare they belong to a version: setting one makes and deploys a new version of the same code."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from runtime.api import deploy_errors as table
from runtime.host.control import scripts
from runtime.host.control.base import ControlCall, Entry, Refused
from runtime.host.store.rows import now

PATH = scripts.SCRIPT + "/secrets"


async def list_(call: ControlCall, account: str, name: str) -> object:
    row, settings = scripts.latest(call, name), call.fleet.registry.settings(name)
    if settings is None:
        raise Refused(table.NO_SCRIPT)
    names = row.secrets if row is not None else settings.get("secrets", {})
    return [{"name": secret, "type": "secret_text"} for secret in sorted(names)]


async def put(call: ControlCall, account: str, name: str) -> object:
    body = await call.json()
    secret, text = _secret(body)
    await change(call, name, {secret: text})
    return {"name": secret, "type": "secret_text"}


async def delete(call: ControlCall, account: str, name: str, secret: str) -> object:
    await change(call, name, {secret: None}, known=True)
    return None


async def bulk(call: ControlCall, account: str, name: str) -> object:
    """``{"secrets": {NAME: {"name", "text", "type"} or null}}``: all of them in one new version."""
    body = await call.json()
    given = body.get("secrets") if isinstance(body, dict) else None
    if not isinstance(given, dict):
        raise Refused(table.INVALID_BODY, "the body needs an object 'secrets'")
    texts = {key: None if item is None else _secret({"name": key, **item})[1] for key, item in given.items()}
    await change(call, name, texts)
    return await list_(call, account, name)


async def change(call: ControlCall, name: str, texts: Mapping[str, str | None], known: bool = False) -> None:
    """Set these, and take those away that are None; ``known``: they must be there."""
    await call.fleet.turns.take(name, partial(_change, call, name, texts, known))


async def _change(call: ControlCall, name: str, texts: Mapping[str, str | None], known: bool) -> None:
    fleet, row = call.fleet, scripts.latest(call, name)
    settings = fleet.registry.settings(name)
    if settings is None:
        raise Refused(table.NO_SCRIPT)
    if known and row is not None and (strange := sorted(texts.keys() - row.secrets.keys())):
        raise Refused(table.NO_SECRET, table.NO_SECRET.describe(name=strange[0]))
    new = {key: fleet.seal.close(name, key, text) for key, text in texts.items() if text is not None}
    if row is None:  # they wait for the first version
        pending = {key: text for key, text in settings.get("secrets", {}).items() if key not in texts}
        await asyncio.to_thread(lambda: fleet.registry.change(name, secrets={**pending, **new}))
        return
    secrets = {**{key: text for key, text in row.secrets.items() if key not in texts}, **new}
    next_ = msgspec.structs.replace(
        row,
        id=str(uuid.uuid4()),
        number=row.number + 1,
        secrets=secrets,
        created=now(),
        author=call.author,
        message="",
        tag="",
        triggered_by="secret",
    )
    await scripts.deploy(call, name, [(next_, 100.0)], f"secrets: {', '.join(sorted(texts))}", new=next_)


def _secret(body: Any) -> tuple[str, str]:
    name, text = (body.get("name"), body.get("text")) if isinstance(body, dict) else (None, None)
    if not isinstance(name, str) or not name or not isinstance(text, str):
        raise Refused(table.INVALID_BODY, "a secret needs a 'name' and a 'text'")
    return name, text


ENTRIES: list[Entry] = [
    ("GET", PATH, "deploy", list_),
    ("PUT", PATH, "deploy", put),
    ("DELETE", PATH + "/{secret}", "deploy", delete),
    ("PATCH", scripts.SCRIPT + "/secrets-bulk", "deploy", bulk),
]
