"""``[[analytics_engine_datasets]] binding = "AE", dataset = "visits"``: Workers Analytics Engine.

Points are kept in a SQLite table that is called like its dataset and has the columns of Cloudflare's SQL API.
https://developers.cloudflare.com/analytics/analytics-engine/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.base import Binding, ProductContext
from bindings.storage.keeping import KeepingProduct
from runtime.config import Config
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.analytics_engine.store import Dataset
    from bindings.storage.resources import Resources


class DatasetTable(msgspec.Struct, frozen=True):
    """One of ``[[analytics_engine_datasets]]``."""

    binding: str
    dataset: str | None = None


class AnalyticsEngine(KeepingProduct):
    """One resource is a dataset."""

    key, label, shape = "analytics_engine_datasets", "Analytics Engine", list[DatasetTable]
    fronts = "calls"
    worker_type = "bindings.analytics_engine.env:AnalyticsEngineDataset"
    folder, resource = "analytics_engine", "bindings.analytics_engine.store:Dataset"
    types = ("analytics_engine",)

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [{"name": table.binding, "type": cls.types[0], "dataset": _name(table)} for table in _tables(config)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        for item in uploaded:
            if not isinstance(item.get("dataset"), str) or not item["dataset"]:
                raise RequestError(400, f"the Analytics Engine binding {item['name']!r} has no dataset")
        return [{"binding": item["name"], "dataset": item["dataset"]} for item in uploaded]

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if not (tables := _tables(config)):
            return ()
        from bindings.analytics_engine.binding import AnalyticsEngineBinding

        found = datasets(context)
        return [
            AnalyticsEngineBinding(table.binding, found.get(_name(table)), context.observer.warn) for table in tables
        ]

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [_name(table) for table in _tables(config)]


def datasets(context: ProductContext) -> Resources[Dataset]:
    """Those of this supervisor."""
    return AnalyticsEngine.resources(context)


def _tables(config: Config) -> Sequence[DatasetTable]:
    return config.tables(AnalyticsEngine.key, DatasetTable)


def _name(table: DatasetTable) -> str:
    return table.dataset or table.binding


__all__ = ["AnalyticsEngine", "DatasetTable", "datasets"]
