"""Vectorize as a product: ``[[vectorize]]``, which nothing of Cloudflare's simulates locally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from bindings.base import Binding, Product, ProductContext
from bindings.vectorize.binding import VectorizeBinding
from bindings.vectorize.indexes import Indexes, config_of, missing
from bindings.vectorize.settings import IndexSettings, VectorizeSettings, VectorizeTable
from runtime.config import Config


class Vectorize(Product):
    """An index is made when a configuration says what it is; otherwise ``pilot vectorize create`` makes it."""

    key, label, shape = "vectorize", "Vectorize", list[VectorizeTable]
    settings = VectorizeSettings
    types = ("vectorize",)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        context.shared[cls.key] = Indexes(context.state, context)

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [table.index_name for table in _tables(config)]

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> None:
        indexes: Indexes = context.shared[cls.key]
        await indexes.kept.remove(id)

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        await context.shared[cls.key].kept.aclose()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        indexes: Indexes = context.shared[cls.key]
        return [_binding(indexes, table, _config(config, table), context) for table in _tables(config)]

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
        fields = ("index_name", "dimensions", "metric", "metadata_indexes")
        return [{"binding": item["name"], **{key: item[key] for key in fields if key in item}} for item in uploaded]


def _tables(config: Config) -> list[VectorizeTable]:
    return config.typed("vectorize", list[VectorizeTable]) if "vectorize" in config.products else []


def _config(config: Config, table: VectorizeTable) -> IndexSettings | None:
    return config.settings(VectorizeSettings).vectorize.get(table.index_name) or table.settings()


def _facts(config: IndexSettings | None) -> dict[str, object]:
    return {} if config is None else cast("dict[str, object]", msgspec.to_builtins(config))


def _binding(
    indexes: Indexes, table: VectorizeTable, settings: IndexSettings | None, context: ProductContext
) -> VectorizeBinding:
    """Makes the index where it can be made; says what keeps it from being there, or from being what is asked for."""
    indexes.kept.claim()
    about, name = indexes.kept.about(table.index_name), table.index_name
    if about is None and settings is None:
        context.observer.warn(f"Vectorize: {missing(name)}")
    elif about is None and settings is not None:
        indexes.create(name, settings.config())
    elif about is not None and settings is not None and settings.config() != (kept := config_of(about)):
        text = f'the index "{name}" has {kept.dimensions} dimensions and the metric {kept.metric}, which cannot change'
        context.observer.warn(f"Vectorize: {text}. Another one needs another name")
    return VectorizeBinding(table.binding, name, indexes, {} if settings is None else settings.metadata_indexes)


__all__ = ["Vectorize"]
