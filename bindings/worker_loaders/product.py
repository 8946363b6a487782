"""``[[worker_loaders]] binding = "LOADER"``: code that a worker brings along runs as a worker of its own.

https://developers.cloudflare.com/dynamic-workers/
Facts: docs/reference/bindings.md#worker-loader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from bindings.base import Binding, Product, ProductContext
from runtime.config import Config
from runtime.errors import RequestError


class LoaderTable(msgspec.Struct, frozen=True):
    """One of ``[[worker_loaders]]``."""

    binding: str


class LoaderSettings(msgspec.Struct, frozen=True):
    """Its part of ``[pilot]``."""

    loaded_workers: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 32  # of one loader, that live at a time
    loaded_idle: Annotated[float, msgspec.Meta(ge=2, le=86400)] = 60  # seconds until one at rest goes


class WorkerLoaders(Product):
    key, label, shape = "worker_loaders", "Worker Loaders", list[LoaderTable]
    settings = LoaderSettings
    types = ("worker_loader",)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        """What was left of an earlier life goes."""
        from shutil import rmtree

        rmtree(context.state / cls.key, ignore_errors=True)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if not (tables := config.tables(cls.key, LoaderTable)):
            return ()
        from bindings.worker_loaders.binding import LoaderBinding

        whose = context.config if context.on_host and context.config is not None else config  # a host has its own
        settings, folder = whose.settings(LoaderSettings), context.state / cls.key
        return [
            LoaderBinding(table.binding, config, context, folder, settings.loaded_workers, settings.loaded_idle)
            for table in tables
        ]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [{"name": table.binding, "type": cls.types[0]} for table in config.tables(cls.key, LoaderTable)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        tables = [{"binding": item.get("name")} for item in uploaded]
        try:
            msgspec.convert(tables, list[LoaderTable])
        except msgspec.ValidationError as error:
            raise RequestError(400, f"a worker_loader binding: {error}") from None
        return tables


__all__ = ["WorkerLoaders"]
