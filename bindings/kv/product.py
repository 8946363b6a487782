"""``[[kv_namespaces]] binding = "NOTES", id = "..."``: Workers KV.

Facts: docs/reference/bindings.md#kv. Everything but this file is imported once a worker has such a binding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from bindings.base import Binding, ProductContext, Route, rest_routes
from bindings.storage.keeping import KeepingProduct, refuse_remote
from runtime.config import Config
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.kv.store import KVStore
    from bindings.storage.resources import Resources


class KVTable(msgspec.Struct, frozen=True):
    """One of ``[[kv_namespaces]]``. Two bindings of one id are one namespace."""

    binding: str
    id: str | None = None
    preview_id: str | None = None
    remote: bool | None = None
    experimental_remote: bool | None = None


class KV(KeepingProduct):
    """One resource is a namespace."""

    key, label, shape = "kv_namespaces", "KV", list[KVTable]
    fronts = "calls"
    worker_type = "bindings.kv.env:KVNamespace"
    folder, resource = "kv", "bindings.kv.store:KVStore"
    types = ("kv_namespace",)
    explorer = "explorer.js"
    commands: ClassVar[Mapping[str, str]] = {"kv": "bindings.kv.commands:kv"}

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(cls.tables(config)):
            for name in ("id", "preview_id"):
                if getattr(table, name) == "":
                    raise config.error(cls.key, f"'{name}' is empty", number, remedy=f'Write:  {name} = "notes"')
            refuse_remote(config, cls.key, number, table)

    @classmethod
    def tables(cls, config: Config) -> Sequence[KVTable]:
        return config.tables(cls.key, KVTable)

    @classmethod
    def local_id(cls, table: KVTable) -> str:
        """As upstream, local development has a namespace of its own where the table names one."""
        return table.preview_id or table.id or table.binding

    @classmethod
    def deployed_id(cls, config: Config, table: KVTable) -> str:
        """Without an id, a namespace of this worker's own."""
        return table.id or f"{config.name}-{table.binding}".lower()

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [
            {"name": table.binding, "type": "kv_namespace", "namespace_id": cls.deployed_id(config, table)}
            for table in cls.tables(config)
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        for item in uploaded:
            if not isinstance(item.get("namespace_id"), str) or not item["namespace_id"]:
                raise RequestError(400, f"the KV binding {item['name']!r} has no namespace_id")
        return [{"binding": item["name"], "id": item["namespace_id"]} for item in uploaded]

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if not context.on_host and context.config is not None and cls.tables(context.config):
            namespaces(context).claim()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if not (tables := cls.tables(config)):
            return ()
        from bindings.kv.binding import KVBinding

        resources = namespaces(context)
        ids = {table.binding: table.id if context.on_host and table.id else cls.local_id(table) for table in tables}
        for id in ids.values():
            resources.get(id)  # it is there from now on
        return [KVBinding(name, id, resources) for name, id in ids.items()]

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        return rest_routes("storage/kv", "bindings.kv.rest:api", context)

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [table.id or table.binding for table in cls.tables(config)]


def namespaces(context: ProductContext) -> Resources[KVStore]:
    """Those of this supervisor."""
    return KV.resources(context)


__all__ = ["KV", "KVTable", "namespaces"]
