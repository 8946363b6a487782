"""Tails: ``wrangler tail`` and ``pilot tail`` ask here where to listen."""

from __future__ import annotations

import datetime
from urllib.parse import urlsplit

from runtime.api import deploy_errors as table
from runtime.host.control.base import ControlCall, Entry, Refused
from runtime.host.control.scripts import SCRIPT
from runtime.host.tails import Tails


def entries(tails: Tails, url: str) -> list[Entry]:
    """``url``: the host's own address, whose scheme tells whether tails are encrypted too."""
    scheme = "wss" if url.startswith("https") else "ws"

    async def create(call: ControlCall, account: str, name: str) -> object:
        if call.fleet.registry.settings(name) is None:
            raise Refused(table.NO_SCRIPT)
        body = await call.json()
        filters = body.get("filters") if isinstance(body, dict) else None
        if filters is not None and not (isinstance(filters, list) and all(isinstance(item, dict) for item in filters)):
            raise Refused(table.INVALID_BODY, "'filters' must be a list of objects")
        id = await tails.open(name, filters or [])
        hostname = urlsplit(f"//{call.request.headers.get('host') or ''}").hostname or "127.0.0.1"
        host = f"[{hostname}]" if ":" in hostname else hostname
        expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        return {"id": id, "url": f"{scheme}://{host}:{tails.port}/tails/{id}", "expires_at": expires.isoformat()}

    async def delete(call: ControlCall, account: str, name: str, id: str) -> None:
        tails.close(id)

    path = SCRIPT + "/tails"
    return [("POST", path, "read", create), ("DELETE", path + "/{id}", "read", delete)]
