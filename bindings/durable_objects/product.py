"""``[[durable_objects.bindings]]``: objects that live on between events, each with a SQLite file of its own.

They run in a process of the worker's that is kept beside those of its requests (``resident``). What the supervisor has
of it: the namespaces' folders, and the clock of the alarms. https://developers.cloudflare.com/durable-objects/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from bindings.base import Binding, Product, ProductContext, Resident, Route, rest_routes
from bindings.durable_objects import deployed, tables
from bindings.durable_objects.migrations import shown_tag
from bindings.storage.keeping import KeepingProduct
from runtime.config import Config
from runtime.errors import RequestError
from runtime.isolate.ambient import EXPORT

if TYPE_CHECKING:
    from bindings.durable_objects.alarms import Clock
    from bindings.durable_objects.namespace import Namespace
    from bindings.storage.resources import Resources

FOLDER = "durable_objects"
PREFIX = "workers/durable_objects/namespaces"  # of the REST API
_CLOCK = "durable_objects.clock"  # of ProductContext.shared
_CLIENT = "bindings.durable_objects.worker.objects:Objects"


class DurableObjectSettings(msgspec.Struct, frozen=True):
    """Its part of ``[pilot]``."""

    object_idle: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 10  # seconds until an object at rest leaves memory
    objects_in_memory: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = (
        1000  # from which on those at rest leave at once
    )


class DurableObjects(KeepingProduct):
    """One resource is a namespace: a class of a worker."""

    key, label, shape = tables.KEY, "Durable Objects", tables.Table
    worker_type = "bindings.durable_objects.worker.namespace:DurableObjectNamespace"
    settings = DurableObjectSettings
    folder, resource = FOLDER, "bindings.durable_objects.namespace:Namespace"
    types = ("durable_object_namespace",)
    explorer = "explorer.js"
    commands: ClassVar[Mapping[str, str]] = {"do": "bindings.durable_objects.commands:objects"}

    @classmethod
    def check(cls, config: Config) -> None:
        tables.check(config)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if (context.state / FOLDER).is_dir():  # else there is nothing that could ring
            clock(context).begin()

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (found := context.shared.pop(_CLOCK, None)) is not None:
            await found.aclose()
        await super().stop(context)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        own, bound = namespaces(config), tables.bound(config)
        if not own and not bound:
            return ()
        from bindings.durable_objects.binding import ClockBinding, NamespaceBinding

        found: list[Binding] = []
        for table in bound:
            worker = table.script_name or config.name
            id = own.get(table.class_name) if tables.is_own(config, table) else None
            id = id or namespace_of(worker, table.class_name)
            found.append(NamespaceBinding(table.name, id, worker, table.class_name, context))
        if own:
            context.shared.setdefault(f"{cls.key}.remarks", tables.remarks(config))
            found.append(ClockBinding(config.name, frozenset(own), clock(context)))
            for name, id in own.items():
                found.append(NamespaceBinding(EXPORT + name, id, config.name, name, context))
        return found

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        return rest_routes(PREFIX, "bindings.durable_objects.rest:api", context)

    @classmethod
    def resident(cls, config: Config, context: ProductContext) -> Resident | None:
        if not at_home(config, context):
            return None
        whose = context.config if context.on_host and context.config is not None else config  # a host has its own
        settings = whose.settings(DurableObjectSettings)

        def folders() -> dict[str, Path]:
            """Of the classes that are this worker's still: one may have gone over to another."""
            return {name: namespace.folder for name, namespace in at_home(config, context).items()}

        def args() -> Mapping[str, Any]:
            found = {name: str(folder) for name, folder in folders().items()}
            return {"folders": found, "idle_s": settings.object_idle, "most": settings.objects_in_memory}

        files = 5 * settings.objects_in_memory + 1024  # the file, its log and that one's index
        return Resident(_CLIENT, args, lambda: list(folders().values()), files)

    @classmethod
    def remarks(cls, context: ProductContext) -> Sequence[str]:
        found: Sequence[str] = () if context.on_host else context.shared.get(f"{cls.key}.remarks", ())
        return found

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        optional = ("script_name", "environment")
        return [
            {"name": table.name, "type": cls.types[0], "class_name": table.class_name}
            | {key: value for key in optional if (value := getattr(table, key)) is not None}
            for table in tables.bound(config)
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        known = tables.Bound.__struct_fields__
        found = {"bindings": [{key: item[key] for key in known if item.get(key) is not None} for item in uploaded]}
        try:
            msgspec.convert(found, tables.Table)
        except msgspec.ValidationError as error:
            raise RequestError(400, f"a durable_object_namespace binding: {error}") from None
        return found

    @classmethod
    def table(cls, uploaded: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> object | None:
        found = deployed.kept(metadata)
        if found is None:
            return None
        taken = [namespace for *_, namespace in found.taken]
        return {**cls.restore(uploaded), "classes": found.record.classes, "taken": taken}

    @classmethod
    def received(
        cls, context: ProductContext, worker: str, metadata: Mapping[str, Any], before: Mapping[str, Any]
    ) -> Mapping[str, object]:
        return deployed.received(context, worker, metadata, cls.types[0], partial(namespace_of, worker))

    @classmethod
    def admit(cls, context: ProductContext, worker: str, versions: Sequence[Mapping[str, Any]]) -> None:
        deployed.check(context, worker, versions)

    @classmethod
    async def answers(cls, context: ProductContext, worker: str, versions: Sequence[Mapping[str, Any]]) -> None:
        for metadata in versions:
            await deployed.apply(context, worker, metadata, opened(context), clock(context))

    @classmethod
    def described(cls, context: ProductContext, worker: str) -> Mapping[str, object]:
        tag = shown_tag(deployed.record_of(context, worker))
        return {"migration_tag": tag} if tag is not None else {}

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return list(namespaces(config).values())

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> bool | None:
        return await deployed.remove(id, opened(context), clock(context))


class Migrations(Product):
    """``[[migrations]]``: what becomes of a class's objects when its name changes."""

    key, label, shape = tables.MIGRATIONS, "Durable Object migrations", list[tables.Migration]
    inherited = True

    @classmethod
    def metadata(cls, config: Config) -> Mapping[str, object]:
        """Every step: the host knows which of them are new to it."""
        if not (found := tables.migrations(config)):
            return {}
        tags = [step.tag for step in found]
        steps = [{key: value for key, value in msgspec.to_builtins(step).items() if key != "tag"} for step in found]
        return {cls.key: {"new_tag": tags[-1], "tags": tags, "steps": steps}}


class Exports(Product):
    """``[exports.CLASS]``: the same, as what is to be."""

    key, label, shape = tables.EXPORTS, "Durable Object exports", dict[str, tables.Export]
    inherited = True

    @classmethod
    def metadata(cls, config: Config) -> Mapping[str, object]:
        found = tables.exports(config)
        return {cls.key: msgspec.to_builtins(found)} if found else {}


def namespaces(config: Config) -> dict[str, str]:
    """This worker's classes → the ids of their namespaces."""
    if config.version is not None and tables.KEY in config.products:
        found = config.typed(tables.KEY, tables.Deployed).classes
        if found is not None:
            return found
    return {name: namespace_of(config.name, name) for name in tables.classes(config)}


def namespace_of(worker: str, name: str) -> str:
    """Of a class that has no history. As upstream's local server has it."""
    return f"{worker}-{name}"


def at_home(config: Config, context: ProductContext) -> dict[str, Namespace]:
    """Its classes' objects, less those that another worker has by now."""
    found = DurableObjects.resources(context)
    own = {name: id for name, id in namespaces(config).items() if not is_away(config, context, id)}
    return {name: found.get(id, name, {"worker": config.name}) for name, id in own.items()}


def is_away(config: Config, context: ProductContext, id: str) -> bool:
    """On a host: another worker has that namespace by now."""
    about = opened(context).about(id) if context.on_host else None
    if about is None or about.facts.get("worker") == config.name:
        return False
    return id not in config.typed(tables.KEY, tables.Deployed).taken


def clock(context: ProductContext) -> Clock:
    """That of this supervisor."""
    found: Clock | None = context.shared.get(_CLOCK)
    if found is None:
        from bindings.durable_objects.alarms import Clock

        path = context.state / FOLDER / "alarms.sqlite"
        found = context.shared[_CLOCK] = Clock(path, context)
    return found


def opened(context: ProductContext) -> Resources[Namespace]:
    return DurableObjects.resources(context)


__all__ = ["DurableObjects", "Exports", "Migrations", "clock", "namespace_of", "namespaces", "opened"]
