"""``[[tail_consumers]] service = "logs"``: the worker ``logs`` is told what becomes of this one's events.

https://developers.cloudflare.com/workers/observability/logs/tail-workers/
Facts: docs/reference/bindings.md#tail-workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.base import Binding, Product, ProductContext
from runtime.config import Config
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.tail_consumers.consumers import Consumers

MAX_CONSUMERS = 10  # of one worker


class ConsumerTable(msgspec.Struct, frozen=True):
    """One of ``[[tail_consumers]]``."""

    service: str
    environment: str | None = None


class TailConsumers(Product):
    key, label, shape = "tail_consumers", "Tail Workers", list[ConsumerTable]
    fronts = "calls"

    @classmethod
    def check(cls, config: Config) -> None:
        if len(_services(config.products.get(cls.key))) > MAX_CONSUMERS:
            raise config.error(cls.key, f"a worker has {MAX_CONSUMERS} at most")

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (consumers := context.shared.pop(cls.key, None)) is not None:
            await consumers.aclose()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if not context.on_host:
            _connect(context, config.name, _services(config.products.get(cls.key)))
        return ()

    @classmethod
    def metadata(cls, config: Config) -> Mapping[str, object]:
        tables = config.products.get(cls.key)
        return {cls.key: tables} if tables is not None else {}

    @classmethod
    def received(
        cls, context: ProductContext, worker: str, metadata: Mapping[str, Any], before: Mapping[str, Any]
    ) -> Mapping[str, object]:
        """Checked, and kept as it came."""
        tables = metadata.get(cls.key)
        try:
            found = msgspec.convert(tables or [], list[ConsumerTable])
        except msgspec.ValidationError as error:
            raise RequestError(400, f"{cls.key}: {error}") from None
        if len(found) > MAX_CONSUMERS:
            raise RequestError(400, f"{cls.key}: a worker has {MAX_CONSUMERS} at most")
        return {}

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        return []  # no binding of an upload is one

    @classmethod
    async def answers(cls, context: ProductContext, worker: str, versions: Sequence[Mapping[str, Any]]) -> None:
        """Of two versions the consumers of both: what is printed says which worker, not which version, it is of."""
        _connect(context, worker, [name for metadata in versions for name in _services(metadata.get(cls.key))])

    @classmethod
    def status(cls, context: ProductContext) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        consumers: Consumers | None = context.shared.get(cls.key)
        rows = consumers.rows() if consumers is not None else []
        return {"tail consumers": rows} if rows else {}


def _connect(context: ProductContext, worker: str, services: Sequence[str]) -> None:
    """To these, and to no others any more."""
    consumers: Consumers | None = context.shared.get(TailConsumers.key)
    if consumers is None:
        if not services:
            return
        from bindings.tail_consumers.consumers import Consumers

        consumers = context.shared[TailConsumers.key] = Consumers(context)
        context.readers.append(consumers)
    consumers.connect(worker, services)


def _services(tables: object) -> list[str]:
    """Of tables that a version was uploaded with before they meant anything here, those that can be read."""
    found = [table.get("service") for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    return [name for name in found if isinstance(name, str)]


__all__ = ["MAX_CONSUMERS", "TailConsumers"]
