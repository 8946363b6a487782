"""``[[d1_databases]]``: SQLite, a file per database. https://developers.cloudflare.com/d1/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from bindings.base import Binding, ProductContext, Route, rest_routes, web
from bindings.d1.names import FOLDER, TRANSFERS
from bindings.storage.keeping import KeepingProduct, refuse_remote
from runtime.config import Config
from runtime.errors import RequestError

if TYPE_CHECKING:  # imported where a database is first asked for
    from pathlib import Path

    from bindings.d1.database import Database
    from bindings.storage.resources import About, Resources

IMPORT_BYTES = 5_000_000_000


class Table(msgspec.Struct, frozen=True):
    """One of ``[[d1_databases]]``. Two bindings of one id are one database."""

    binding: str
    database_name: str | None = None
    database_id: str | None = None
    preview_database_id: str | None = None
    migrations_dir: str = "migrations"
    migrations_table: str = "d1_migrations"
    migrations_pattern: str | None = None
    jurisdiction: str | None = None
    remote: bool | None = None
    experimental_remote: bool | None = None


class D1Settings(msgspec.Struct, frozen=True):
    """Its part of ``[pilot]``."""

    d1_query_timeout: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30  # seconds that one call may take


class D1(KeepingProduct):
    """One resource is a database."""

    key, label, shape = "d1_databases", "D1", list[Table]
    fronts = "calls"
    worker_type = "bindings.d1.worker:D1Database"
    settings = D1Settings
    folder, resource = FOLDER, "bindings.d1.product:opened"
    types = ("d1",)
    explorer = "explorer.js"
    commands: ClassVar[Mapping[str, str]] = {"d1": "bindings.d1.commands:d1"}

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(tables(config)):
            for name in ("database_id", "preview_database_id", "database_name"):
                if getattr(table, name) == "":
                    raise config.error(cls.key, f"'{name}' is empty", number, remedy=f'Write:  {name} = "main"')
            refuse_remote(config, cls.key, number, table)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if not context.on_host and context.config is not None and tables(context.config):
            databases(context).claim()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if cls.key not in config.products:
            return ()
        from bindings.d1.binding import D1Binding  # and apsw with it

        resources = databases(context)
        whose = context.config if context.on_host and context.config is not None else config  # a host has its own
        seconds = whose.settings(D1Settings).d1_query_timeout
        found: list[Binding] = []
        for table in tables(config):
            id = deployed_id(config, table) if context.on_host else local_id(table)
            _there(resources, id, table.database_name)
            found.append(D1Binding(table.binding, id, resources, seconds))
        return found

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [{"name": table.binding, "type": "d1", "id": deployed_id(config, table)} for table in tables(config)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        for item in uploaded:
            if not isinstance(item.get("id"), str) or not item["id"]:
                raise RequestError(400, f"the D1 binding {item['name']!r} has no id")
        return [{"binding": item["name"], "database_id": item["id"]} for item in uploaded]

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [deployed_id(config, table) for table in tables(config)]

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        async def file(request: web.Request, name: str) -> web.Response:
            """Its address is the credential."""
            from bindings.d1.rest.transfers import files

            answer = files(context).put if request.method == "PUT" else files(context).get
            return await answer(request, name)

        path = TRANSFERS + "{name}"
        own = [Route("GET", path, file), Route("PUT", path, file, body_limit=IMPORT_BYTES)]
        return [*own, *rest_routes("d1/database", "bindings.d1.rest.api:api", context)]


def _there(resources: Resources[Database], id: str, name: str | None) -> None:
    """From now on, and called as the configuration says, whoever has made it. Raises UserError."""
    resources.get(id, name)
    about = resources.about(id)
    if about is not None and name is not None and about.name != name:
        resources.describe(msgspec.structs.replace(about, name=name))


def local_id(table: Table) -> str:
    """As upstream, local development has a database of its own where the table names one."""
    return table.preview_database_id or table.database_id or table.binding


def deployed_id(config: Config, table: Table) -> str:
    """Without an id or a name, a database of this worker's own."""
    return table.database_id or table.database_name or f"{config.name}-{table.binding}".lower()


def tables(config: Config) -> list[Table]:
    return config.tables(D1.key, Table)


def databases(context: ProductContext) -> Resources[Database]:
    """Those of this supervisor, or of this command."""
    return D1.resources(context)


def opened(folder: Path, about: About) -> Database:
    from bindings.d1.database import Database  # apsw, for those who have a database

    return Database(folder)


__all__ = ["D1", "Table", "databases", "deployed_id", "local_id", "tables"]
