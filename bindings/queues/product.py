"""``[[queues.producers]] binding = "JOBS", queue = "jobs"`` and ``[[queues.consumers]] queue = "jobs"``: Queues.

Facts: docs/reference/bindings.md#queues. Everything but this file and ``shapes`` is imported once a worker has a queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from bindings.base import Binding, ProductContext, Route, rest_routes
from bindings.deploying import HostApi
from bindings.queues.shapes import NAME, ConsumerTable, ProducerTable, QueueTables, subscription
from bindings.storage.keeping import KeepingProduct, refuse_remote
from runtime.config import Bytes, Config
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.queues.queue import Queue
    from bindings.storage.resources import Resources

_DEAD = "dead_letter_queue"


class QueueConfig(msgspec.Struct, frozen=True):
    queue_size: Bytes = 1024**3  # what one queue may keep on disk


class Queues(KeepingProduct):
    """One resource is a queue; its id is its name."""

    key, label, shape = "queues", "Queue", QueueTables
    fronts = "calls"
    worker_type = "bindings.queues.env:QueueProducer"
    folder, resource = "queues", "bindings.queues.queue:Queue"
    types = ("queue",)
    settings = QueueConfig
    explorer, page = "explorer.js", "Queues"
    commands: ClassVar[Mapping[str, str]] = {"queues": "bindings.queues.commands:queues"}

    @classmethod
    def check(cls, config: Config) -> None:
        tables = cls.tables(config)
        for number, producer in enumerate(tables.producers):
            refuse_remote(config, cls.key, number, producer)
            _check_name(config, producer.queue, "producers", number, "queue")
        seen = set[str]()
        for number, consumer in enumerate(tables.consumers):
            _check_consumer(config, number, consumer)
            if consumer.queue in seen:
                raise config.error(cls.key, f"the queue {consumer.queue!r} has two consumers", "consumers", number)
            seen.add(consumer.queue)

    @classmethod
    def tables(cls, config: Config) -> QueueTables:
        return config.typed(cls.key, QueueTables) if cls.key in config.products else QueueTables()

    @classmethod
    def queue_of(cls, config: Config, table: ProducerTable) -> str:
        """Without a name, a queue of this worker's own."""
        return table.queue or f"{config.name}-{table.binding}".lower().replace("_", "-")

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [
            {"name": table.binding, "type": "queue", "queue_name": cls.queue_of(config, table)}
            for table in cls.tables(config).producers
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        for item in uploaded:
            if not isinstance(item.get("queue_name"), str) or not NAME.fullmatch(item["queue_name"]):
                raise RequestError(400, f"the queue binding {item['name']!r} has no queue_name that a queue can have")
        return {"producers": [{"binding": item["name"], "queue": item["queue_name"]} for item in uploaded]}

    @classmethod
    def follow_up(cls, config: Config, host: HostApi) -> None:
        """Consumers are the queues', not the version's."""
        for table in cls.tables(config).consumers:
            asked = subscription(config.name, table)
            body = {
                "type": "worker",
                "script_name": config.name,
                "settings": msgspec.to_builtins(asked.settings),
                _DEAD: asked.dead_letter_queue,
            }
            host.call("PUT", f"/queues/{table.queue}/consumers", body)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if not context.on_host:
            if context.config is not None and cls.key in context.config.products:
                queues(context).claim()
        elif (context.state / cls.folder).is_dir():
            from bindings.queues.consumers import consumers

            consumers(context, queues(context)).restore()

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (found := context.shared.pop("queues.consumers", None)) is not None:
            await found.aclose()
        await super().stop(context)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        tables = cls.tables(config)
        if not tables.producers and not tables.consumers and cls.key not in context.shared:
            return ()
        from bindings.queues.binding import QueueBinding
        from bindings.queues.consumers import consumers

        resources, names = queues(context), {one.binding: cls.queue_of(config, one) for one in tables.producers}
        size = ((context.config if context.on_host else config) or config).settings(QueueConfig).queue_size
        for name in {*names.values(), *(table.queue for table in tables.consumers)}:
            resources.get(name).keep_at_most(size)  # it is there from now on
        if not context.on_host:
            subscriptions = {table.queue: subscription(config.name, table) for table in tables.consumers}
            consumers(context, resources).configure(str(config.path or config.root), subscriptions)
        return [QueueBinding(binding, queue, config.name, resources) for binding, queue in names.items()]

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        return rest_routes("queues", "bindings.queues.rest.api:api", context)

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [cls.queue_of(config, table) for table in cls.tables(config).producers]


def queues(context: ProductContext) -> Resources[Queue]:
    """Those of this supervisor."""
    return Queues.resources(context)


def _check_consumer(config: Config, number: int, table: ConsumerTable) -> None:
    if table.type not in (None, "worker"):
        what = f'"type" is {table.type!r}: consumers that pull over HTTP are not available here'
        raise config.error(Queues.key, what, "consumers", number, remedy='Leave it out, or write:  type = "worker"')
    _check_name(config, table.queue, "consumers", number, "queue")
    _check_name(config, table.dead_letter_queue, "consumers", number, _DEAD)


def _check_name(config: Config, name: str | None, kind: str, number: int, field: str) -> None:
    if name is not None and not NAME.fullmatch(name):
        what = f"'{field}' is no name of a queue: {name!r}"
        raise config.error(Queues.key, what, kind, number, remedy="Letters, digits, - _ and . alone, 63 at most.")


__all__ = ["QueueConfig", "Queues", "queues"]
