"""``[[vectorize]] binding = "DOCS", index_name = "docs"``: Vectorize, which nothing of Cloudflare's simulates locally.

Facts: docs/reference/bindings.md#vectorize. All but this file and the settings is imported once a worker has such a
binding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec

from bindings.base import Binding, Product, ProductContext, Route, rest_routes
from bindings.vectorize.settings import IndexSettings, VectorizeSettings, VectorizeTable
from runtime.config import Config
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.vectorize.binding import VectorizeBinding
    from bindings.vectorize.indexes import Indexes

MAX_UPLOAD_BYTES = 100_000_000  # of one call over REST


class Vectorize(Product):
    """An index is made when a configuration says what it is; otherwise ``pilot vectorize create`` makes it."""

    key, label, shape = "vectorize", "Vectorize", list[VectorizeTable]
    fronts = "calls"
    worker_type = "bindings.vectorize.env:VectorizeIndex"
    settings = VectorizeSettings
    commands: ClassVar[Mapping[str, str]] = {"vectorize": "bindings.vectorize.commands:vectorize"}
    types = ("vectorize",)
    explorer = "explorer.js"

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if not context.on_host and context.config is not None and _tables(context.config):
            indexes(context).kept.claim()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        return [_binding(table, _config(config, table), context) for table in _tables(config)]

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [table.index_name for table in _tables(config)]

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> None:
        await indexes(context).kept.remove(id)

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        return rest_routes("vectorize/v2/indexes", "bindings.vectorize.rest:api", context, MAX_UPLOAD_BYTES)

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (opened := context.shared.pop(cls.key, None)) is not None:
            await opened.kept.aclose()

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "name": table.binding,
                "type": "vectorize",
                "index_name": table.index_name,
                **_facts(_config(config, table)),
            }
            for table in _tables(config)
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        for item in uploaded:
            if not isinstance(item.get("index_name"), str) or not item["index_name"]:
                raise RequestError(400, f"the Vectorize binding {item['name']!r} has no index_name")
        fields = ("index_name", "dimensions", "metric", "metadata_indexes")
        return [{"binding": item["name"], **{key: item[key] for key in fields if key in item}} for item in uploaded]


def indexes(context: ProductContext) -> Indexes:
    """Those of this supervisor."""
    found: Indexes | None = context.shared.get(Vectorize.key)
    if found is None:
        from bindings.vectorize.indexes import Indexes

        found = context.shared[Vectorize.key] = Indexes(context.state, context)
    return found


def _tables(config: Config) -> list[VectorizeTable]:
    return config.tables(Vectorize.key, VectorizeTable)


def _config(config: Config, table: VectorizeTable) -> IndexSettings | None:
    return config.settings(VectorizeSettings).vectorize.get(table.index_name) or table.settings()


def _facts(config: IndexSettings | None) -> dict[str, object]:
    return {} if config is None else cast("dict[str, object]", msgspec.to_builtins(config))


def _binding(table: VectorizeTable, settings: IndexSettings | None, context: ProductContext) -> VectorizeBinding:
    """Makes the index where it can be made; says what keeps it from being there, or from being what is asked for."""
    from bindings.vectorize.binding import VectorizeBinding
    from bindings.vectorize.indexes import config_of, missing

    found, name = indexes(context), table.index_name
    found.kept.claim()
    about = found.kept.about(name)
    if about is None and settings is None:
        context.observer.warn(f"Vectorize: {missing(name)}")
    elif about is None and settings is not None:
        found.create(name, settings.config())
    elif about is not None and settings is not None and settings.config() != (kept := config_of(about)):
        text = f'the index "{name}" has {kept.dimensions} dimensions and the metric {kept.metric}, which cannot change'
        context.observer.warn(f"Vectorize: {text}. Another one needs another name")
    return VectorizeBinding(table.binding, name, found, {} if settings is None else settings.metadata_indexes)


__all__ = ["Vectorize", "indexes"]
