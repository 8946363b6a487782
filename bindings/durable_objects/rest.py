"""Namespaces and their objects over Cloudflare's REST API, below ``workers/durable_objects/namespaces``.

https://developers.cloudflare.com/api/resources/durable_objects/
"""

from __future__ import annotations

import asyncio
import sqlite3
from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bindings.base import ProductContext
from bindings.durable_objects.listed import ids, listed
from bindings.durable_objects.namespace import Namespace
from bindings.durable_objects.product import FOLDER, PREFIX, opened
from bindings.rest import Api, ApiError, Entry, Listed, number_of, page_of, query_of
from bindings.storage.resources import About, Resources
from runtime.web import Request

NOT_FOUND = 10066
_PAGE, _MOST = 100, 1000  # objects
_BUSY_S = 2.0


class ObjectsRest:
    """On the namespaces of a supervisor or of a command; what it says of objects is read from the disk."""

    def __init__(self, spaces: Resources[Namespace], state: Path) -> None:
        self._spaces, self._clock = spaces, state / FOLDER / "alarms.sqlite"

    def entries(self) -> list[Entry]:
        return [("GET", "", self.namespaces), ("GET", "{id}/objects", self.objects)]

    async def namespaces(self, request: Request) -> object:
        return page_of([_shown(about) for about in self._spaces.all()], query_of(request))

    async def objects(self, request: Request, id: str) -> object:
        """By id, ``limit`` at a time; ``cursor``: the id that the page before ended with."""
        about, query = self._spaces.about(id), query_of(request)
        found = None if about is None else self._spaces.find(id)
        if about is None or found is None:
            raise ApiError(404, NOT_FOUND, f"Durable Object namespace '{id:.200}' not found.")
        limit, cursor = number_of(query, "limit", _PAGE, 1, _MOST), query.get("cursor", "")
        rows, after = await asyncio.to_thread(self._page, found.folder, about, cursor, limit)
        return Listed(rows, {"count": len(rows), "cursor": after})

    def _page(self, folder: Path, about: About, cursor: str, limit: int) -> tuple[list[dict[str, Any]], str]:
        every = ids(folder)
        first = bisect_right(every, cursor)
        shown, alarms = every[first : first + limit], self._alarms(about)
        found = [one for id in shown if (one := listed(folder, id)) is not None]
        rows = [
            {
                "id": one.id, "name": one.name, "hasStoredData": True, "size": one.size,
                "alarm": _moment(alarms[one.id] / 1000) if one.id in alarms else None, "lastUsed": _moment(one.used),
            }
            for one in found
        ]  # fmt: skip
        return rows, shown[-1] if first + limit < len(every) else ""

    def _alarms(self, about: About) -> Mapping[str, int]:
        """When each is due, in ms since 1970, by the object's id."""
        if not self._clock.exists():
            return {}
        connection = sqlite3.connect(f"{self._clock.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
        try:
            sql = "SELECT id, due FROM alarms WHERE worker = ? AND class = ?"
            return dict(connection.execute(sql, (about.facts.get("worker"), about.name)).fetchall())
        finally:
            connection.close()


def api(context: ProductContext) -> Api:
    return Api(PREFIX, ObjectsRest(opened(context), context.state).entries())


def local_api(state: Path) -> tuple[Api, Resources[Namespace]]:
    spaces = Resources(state, FOLDER, Namespace)
    return Api(PREFIX, ObjectsRest(spaces, state).entries()), spaces


def _shown(about: About) -> dict[str, Any]:
    return {
        "id": about.id, "name": about.id, "class": about.name, "script": about.facts.get("worker"), "use_sqlite": True,
    }  # fmt: skip


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["api", "local_api"]
