"""Below ``d1/database``: databases, SQL, Time Travel, and the files that imports and exports pass through.

Facts: docs/reference/bindings.md#d1-over-rest. https://developers.cloudflare.com/api/resources/d1/
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bindings.base import ProductContext
from bindings.d1.binding import meta
from bindings.d1.database import Answer, Database, Query
from bindings.d1.names import FOLDER
from bindings.d1.product import databases, opened
from bindings.d1.rest.transfers import TransferRest, Transfers, transfers
from bindings.d1.sql.connection import Outcome
from bindings.d1.sql.errors import D1Error
from bindings.d1.sql.script import statements
from bindings.d1.upkeep import restore, snapshot
from bindings.d1.values import bound, read_rows
from bindings.rest import Api, ApiError, Entry, Handler, Listed, body_of, page_of, query_of
from bindings.storage.resources import About, Resources
from runtime.values import JsException
from runtime.web import Request

TABLES = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
INVALID, NO_DATABASE, FAILED, TAKEN = 7400, 7404, 7500, 7502
_decode = msgspec.msgpack.Decoder().decode


class NewDatabase(msgspec.Struct):
    name: str
    jurisdiction: str | None = None  # where Cloudflare keeps it: here it is here
    primary_location_hint: str | None = None


class OneQuery(msgspec.Struct):
    sql: str
    params: list[Any] | None = None


class Queries(msgspec.Struct):
    """The body of ``query`` and ``raw``: one of both."""

    sql: str | None = None
    params: list[Any] | None = None
    batch: list[OneQuery] | None = None


class D1Rest:
    """The handlers, on the databases of a supervisor or of a command."""

    def __init__(self, resources: Resources[Database], *, make: bool = False) -> None:
        """``make``: a database that is named is there."""
        self._resources, self._make = resources, make

    def entries(self) -> list[Entry]:
        return [
            ("GET", "", self.list),
            ("POST", "", self.create),
            ("GET", "{id}", self.get),
            ("PUT", "{id}", self.update),
            ("PATCH", "{id}", self.update),
            ("DELETE", "{id}", self.delete),
            ("POST", "{id}/query", explained(self.query)),
            ("POST", "{id}/raw", explained(self.raw)),
            ("GET", "{id}/time_travel/bookmark", explained(self.bookmark)),
            ("POST", "{id}/time_travel/restore", explained(self.restore)),
        ]

    async def list(self, request: Request) -> Listed:
        query = query_of(request)
        found = [about for about in self._resources.all() if query.get("name") in (None, about.name)]
        return page_of([_shown(about) for about in found], query)

    async def create(self, request: Request) -> object:
        wanted = await body_of(request, NewDatabase)
        if not wanted.name:
            raise ApiError(400, INVALID, "a database needs a name")
        if any(about.name == wanted.name for about in self._resources.all()):
            raise ApiError(400, TAKEN, f"Database with name '{wanted.name:.200}' already exists")
        id = str(uuid.uuid4())
        self._resources.create(id, wanted.name)
        return await self._whole(self.about(id))

    async def get(self, request: Request, id: str) -> object:
        return await self._whole(self.about(id))

    async def update(self, request: Request, id: str) -> object:
        """Read replication, of which there is none."""
        return await self._whole(self.about(id))

    async def delete(self, request: Request, id: str) -> None:
        await self._resources.remove(self.about(id).id)

    async def query(self, request: Request, id: str) -> object:
        answer = await self._run(request, id)
        return [_result(outcome, answer, _dicts(outcome)) for outcome in answer.outcomes]

    async def raw(self, request: Request, id: str) -> object:
        answer = await self._run(request, id)
        rows = [{"columns": outcome.columns, "rows": _lists(outcome)} for outcome in answer.outcomes]
        return [_result(outcome, answer, found) for outcome, found in zip(answer.outcomes, rows, strict=True)]

    async def bookmark(self, request: Request, id: str) -> object:
        moment = query_of(request).get("timestamp")
        try:
            wanted = datetime.fromisoformat(moment) if moment else None
        except ValueError:
            raise ApiError(400, INVALID, f"{moment:.100} is no ISO 8601 timestamp") from None
        return {"bookmark": await snapshot(self.database(id), wanted)}

    async def restore(self, request: Request, id: str) -> object:
        bookmark = query_of(request).get("bookmark", "")
        before = await restore(self.database(id), bookmark)
        return {"bookmark": bookmark, "previous_bookmark": before, "message": "Restored"}

    def about(self, id: str) -> About:
        """By its id or its name. Raises ApiError."""
        found = self._resources.about(id) or next((one for one in self._resources.all() if one.name == id), None)
        if found is None and self._make:
            self._resources.create(id)
            return self.about(id)
        if found is None:
            raise ApiError(404, NO_DATABASE, f"The database {id:.100} could not be found")
        return found

    def database(self, id: str) -> Database:
        """Raises ApiError."""
        return self._resources.get(self.about(id).id)

    async def _run(self, request: Request, id: str) -> Answer:
        body = await body_of(request, Queries)
        if (body.sql is None) == (body.batch is None):
            raise ApiError(400, INVALID, "the body needs 'sql' or 'batch'")
        asked = body.batch if body.batch is not None else [OneQuery(body.sql or "", body.params)]
        return await self.database(id).call([query for one in asked for query in _pieces(one)])

    async def _whole(self, about: About) -> Mapping[str, object]:
        answer = await self.database(about.id).call([Query(TABLES)])
        [[tables]] = _decode(answer.outcomes[0].rows)
        return {**_shown(about), "file_size": answer.size, "num_tables": tables, "running_in_region": "local",
                "read_replication": {"mode": "disabled"}}  # fmt: skip


def explained(handler: Handler) -> Handler:
    """What the database refuses, as an error of the API."""

    async def answer(request: Request, **path: str) -> object:
        try:
            return await handler(request, **path)
        except D1Error as error:
            raise ApiError(400, FAILED, str(error)) from None

    return answer


def _pieces(one: OneQuery) -> Sequence[Query]:
    """A query for each statement of the text; parameters are the last one's."""
    try:
        values = [bound(value) for value in one.params or ()]
    except JsException as error:
        raise ApiError(400, INVALID, error.message) from None
    texts = list(statements([one.sql])) or [one.sql]
    return [*map(Query, texts[:-1]), Query(texts[-1], values)]


def _shown(about: About) -> Mapping[str, object]:
    return {"uuid": about.id, "name": about.name, "version": "production", "created_at": about.created}


def _result(outcome: Outcome, answer: Answer, results: object) -> Mapping[str, object]:
    return {"results": results, "success": True, "meta": meta(outcome, answer)}


def _lists(outcome: Outcome) -> list[list[object]]:
    return [list(row) for row in read_rows(_decode(outcome.rows))]


def _dicts(outcome: Outcome) -> list[dict[str, object]]:
    return [dict(zip(outcome.columns, row, strict=True)) for row in _lists(outcome)]


def api(context: ProductContext) -> Api:
    """Of a supervisor."""
    return _api(D1Rest(databases(context)), transfers(context))


class LocalDatabases:
    """Those of a state folder, for one command. Its files are its own: a server may run beside it."""

    def __init__(self, state: Path) -> None:
        self.databases = Resources(state, FOLDER, opened)
        self.transfers = Transfers(self.databases.folder / f".transfers-{os.getpid()}")

    async def aclose(self) -> None:
        self.transfers.close()
        await self.databases.aclose()


def local_api(state: Path) -> tuple[Api, LocalDatabases]:
    local = LocalDatabases(state)
    return _api(D1Rest(local.databases, make=True), local.transfers), local


def _api(rest: D1Rest, transfers: Transfers) -> Api:
    return Api("d1/database", [*rest.entries(), *TransferRest(rest.database, transfers).entries()])


__all__ = ["D1Rest", "api", "explained", "local_api"]
