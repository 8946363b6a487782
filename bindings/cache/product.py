"""``js.caches``: the Cache API, which every worker has. Facts: docs/reference/bindings.md#cache-api."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.base import Binding, ProductContext
from bindings.storage.keeping import KeepingProduct
from runtime.config import Bytes, Config

if TYPE_CHECKING:
    from bindings.cache.store import CacheStore
    from bindings.storage.resources import Resources


class CacheSettings(msgspec.Struct, frozen=True):
    cache_size: Bytes = 256 * 1024 * 1024  # bytes of disk that a worker's caches may take together


class Cache(KeepingProduct):
    """A worker's caches are its own; nothing is opened before it uses them. ``[cache]`` of a configuration changes
    nothing here."""

    key, label, shape = "cache", "Cache API", dict[str, Any]
    fronts = "calls"
    folder, resource = "cache", "bindings.cache.store:CacheStore"
    inherited = True
    settings = CacheSettings

    @classmethod
    def names(cls, table: object) -> Sequence[str]:
        return ()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        return [_Lazy(config, context)]

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [config.name]

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> bool:
        return await stores(context).remove(id)


class _Lazy:
    """The host's half, which is imported at the first call."""

    name, client = "js.caches", "bindings.cache.worker:CacheStorage"
    client_args: Mapping[str, Any] = {}

    def __init__(self, config: Config, context: ProductContext) -> None:
        self._worker, self._context = config.name, context
        self._size = config.settings(CacheSettings).cache_size

    def describe(self) -> tuple[str, str]:
        return "caches", self._worker

    async def call(self, method: str, args: Sequence[Any]) -> object:
        from bindings.cache.binding import serve

        store = stores(self._context).get(self._worker)
        return await serve(store, self._size, method, args)


def stores(context: ProductContext) -> Resources[CacheStore]:
    """Those of this supervisor, by worker."""
    return Cache.resources(context)


__all__ = ["Cache", "CacheSettings", "stores"]
