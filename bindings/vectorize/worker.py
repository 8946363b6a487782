"""``env.VECTORIZE``, the worker's half. It runs in the isolate.

https://developers.cloudflare.com/vectorize/reference/client-api/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from bindings.client import BindingClient
from runtime.values import from_wire


class VectorizeIndex(BindingClient):
    """Each method takes what upstream's takes, keyword arguments as its options."""

    product: ClassVar[str] = "Vectorize"

    async def insert(self, *args: object, **options: object) -> object:
        """``[{"id", "values", "namespace"?, "metadata"?}]``; ids that are there are left alone. ``{mutationId}``."""
        return await self._ask("insert", _plain(args), options)

    async def upsert(self, *args: object, **options: object) -> object:
        """As ``insert``, but vectors whose ids are there are replaced whole."""
        return await self._ask("upsert", _plain(args), options)

    async def query(self, *args: object, **options: object) -> object:
        """``query(values, topK=5, namespace=, returnValues=, returnMetadata=, filter=)``: ``{count, matches}``."""
        return await self._ask("query", _plain(args), options)

    async def queryById(self, *args: object, **options: object) -> object:
        return await self._ask("queryById", args, options)

    async def getByIds(self, *args: object, **options: object) -> object:
        """Those that are there, with values and metadata."""
        return await self._ask("getByIds", args, options)

    async def deleteByIds(self, *args: object, **options: object) -> object:
        return await self._ask("deleteByIds", args, options)

    async def describe(self, *args: object, **options: object) -> object:
        """``{dimensions, vectorCount, processedUpToDatetime, processedUpToMutation}``."""
        return await self._ask("describe", args, options)

    async def _ask(self, method: str, args: tuple[object, ...], options: dict[str, object]) -> object:
        return from_wire(await self._call(method, args, options))


def _plain(value: Any) -> Any:
    """numpy arrays and other sequences of numbers as lists: what JavaScript's typed arrays are upstream."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value)) if not value or not isinstance(value[0], (int, float)) else value
    if isinstance(value, dict) and "values" in value:
        return {**value, "values": _plain(value["values"])}
    to_list = getattr(value, "tolist", None)  # numpy.ndarray, array.array, memoryview of numbers
    return cast(Callable[[], object], to_list)() if callable(to_list) else value


__all__ = ["VectorizeIndex"]
