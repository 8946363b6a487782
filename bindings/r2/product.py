"""``[[r2_buckets]] binding = "FILES", bucket_name = "files"``: R2.

Facts: docs/reference/bindings.md#r2. Everything but this file is imported once a worker has such a binding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from bindings.base import Binding, ProductContext, Route, rest_routes
from bindings.r2.limits import BUCKET_NAME, MAX_PUT_BYTES
from bindings.storage.keeping import KeepingProduct, refuse_remote
from runtime.config import Config
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.r2.store import Bucket
    from bindings.storage.resources import Resources


class R2Table(msgspec.Struct, frozen=True):
    """One of ``[[r2_buckets]]``. Two bindings of one name are one bucket."""

    binding: str
    bucket_name: str | None = None
    preview_bucket_name: str | None = None
    jurisdiction: str | None = None
    remote: bool | None = None
    experimental_remote: bool | None = None


class R2(KeepingProduct):
    """One resource is a bucket."""

    key, label, shape = "r2_buckets", "R2", list[R2Table]
    fronts = "calls"
    worker_type = "bindings.r2.env:R2Bucket"
    folder, resource = "r2", "bindings.r2.store:Bucket"
    types = ("r2_bucket",)
    explorer = "explorer.js"
    commands: ClassVar[Mapping[str, str]] = {"r2": "bindings.r2.commands:r2"}

    @classmethod
    def check(cls, config: Config) -> None:
        for number, table in enumerate(_tables(config)):
            for field in ("bucket_name", "preview_bucket_name"):
                name = getattr(table, field)
                if name is not None and not BUCKET_NAME.fullmatch(name):
                    what = f"'{field}' is no name of a bucket: {name!r}"
                    rule = "3 to 63 lower-case letters, digits and hyphens, the first and last no hyphen"
                    raise config.error(cls.key, what, number, remedy=f"A bucket's name has {rule}")
            refuse_remote(config, cls.key, number, table)

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        """Without a name, a bucket of this worker's own."""
        return [
            {"name": table.binding, "type": "r2_bucket", "bucket_name": table.bucket_name or _own(config, table)}
            for table in _tables(config)
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        for item in uploaded:
            name = item.get("bucket_name")
            if not isinstance(name, str) or not BUCKET_NAME.fullmatch(name):
                raise RequestError(400, f"the R2 binding {item['name']!r} has no bucket_name that a bucket can have")
        return [{"binding": item["name"], "bucket_name": item["bucket_name"]} for item in uploaded]

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if not context.on_host and context.config is not None and _tables(context.config):
            buckets(context).claim()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if not (tables := _tables(config)):
            return ()
        from bindings.r2.binding import R2Binding

        resources = buckets(context)
        names = {table.binding: _name(config, table, context) for table in tables}
        for name in names.values():
            resources.get(name)  # it is there from now on
        return [R2Binding(binding, name, resources) for binding, name in names.items()]

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        return rest_routes("r2/buckets", "bindings.r2.rest:api", context, MAX_PUT_BYTES)

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [table.bucket_name or _own(config, table) for table in _tables(config)]


def buckets(context: ProductContext) -> Resources[Bucket]:
    """Those of this supervisor."""
    return R2.resources(context)


def _tables(config: Config) -> Sequence[R2Table]:
    return config.tables(R2.key, R2Table)


def _name(config: Config, table: R2Table, context: ProductContext) -> str:
    """As upstream, local development has a bucket of its own where the table names one."""
    preview = None if context.on_host else table.preview_bucket_name
    return preview or table.bucket_name or _own(config, table)


def _own(config: Config, table: R2Table) -> str:
    name = re.sub("[^a-z0-9]+", "-", f"{config.name}-{table.binding}".lower()).strip("-")
    return name[:63].rstrip("-")


__all__ = ["R2", "R2Table", "buckets"]
