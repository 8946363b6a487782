"""Durable Objects of a host's workers: which version may answer, and what becomes of their classes when it does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.base import ProductContext
from bindings.durable_objects.migrations import Change, Record, change
from bindings.durable_objects.tables import KEY
from runtime.errors import RequestError

if TYPE_CHECKING:
    from bindings.durable_objects.alarms import Clock
    from bindings.durable_objects.namespace import Namespace
    from bindings.storage.resources import Resources


def record_of(context: ProductContext, worker: str) -> Record:
    """As the registry has it."""
    settings = (context.registry.settings(worker) if context.registry is not None else None) or {}
    return msgspec.convert(settings.get(KEY) or {}, Record)


def kept(metadata: Mapping[str, Any]) -> Change | None:
    """What ``received`` has put into a version's metadata; None: it has no Durable Objects."""
    found = metadata.get(KEY)
    return None if found is None else msgspec.convert(found, Change)


def received(
    context: ProductContext, worker: str, metadata: Mapping[str, Any], kind: str, namespace: Callable[[str], str]
) -> Mapping[str, object]:
    """``kind``: of its bindings. Raises RequestError."""
    record = record_of(context, worker)
    bound = [item for item in metadata.get("bindings") or () if item.get("type") == kind]
    own = [item["class_name"] for item in bound if item.get("script_name") in (None, worker) and item.get("class_name")]
    found = change(worker, metadata, record, own, lambda other: record_of(context, other), namespace)
    nothing = not found.record.classes and found.record.tag is None
    return {KEY: None} if nothing else {KEY: msgspec.to_builtins(found)}


def check(context: ProductContext, worker: str, versions: Sequence[Mapping[str, Any]]) -> None:
    """Whether these may answer together, or again. Raises RequestError."""
    tag = record_of(context, worker).tag
    for metadata in versions:
        found = kept(metadata)
        has = found.record.tag if found is not None else None
        if has == tag:
            continue
        if found is None or found.before != tag:
            text = f"a version was uploaded before the Durable Object migration {tag!r}, and cannot answer after it"
            raise RequestError(400, text)
        if len(versions) > 1:
            text = f"the Durable Object migration {has!r} is not applied yet: deploy its version alone first"
            raise RequestError(400, text)


async def apply(
    context: ProductContext, worker: str, metadata: Mapping[str, Any], spaces: Resources[Namespace], clock: Clock
) -> None:
    """The version answers: what it makes of the classes is so. Done again, it changes nothing. Raises StoreError,
    sqlite3.Error."""
    found, registry, old = kept(metadata), context.registry, record_of(context, worker)
    if found is None or registry is None or (found.record.tag != old.tag and found.before != old.tag):
        return
    moves = found.record.tag != old.tag
    for other, name, _ in found.taken if moves else ():
        theirs = record_of(context, other)
        left = {key: value for key, value in theirs.classes.items() if key != name}
        registry.change(other, **{KEY: msgspec.to_builtins(Record(theirs.tag, left))})
    if (record := found.after(old)) != old:
        registry.change(worker, **{KEY: msgspec.to_builtins(record)})
    for name, namespace in found.record.classes.items() if moves else ():
        await _moved(namespace, worker, name, spaces, clock)
    for other, *_ in found.taken if moves else ():
        await context.rehouse(other)  # the objects' files are open there
    for namespace in found.gone if moves else ():
        await remove(namespace, spaces, clock)


async def _moved(namespace: str, worker: str, name: str, spaces: Resources[Namespace], clock: Clock) -> None:
    """Its objects are the class's of that name, of that worker."""
    about = spaces.about(namespace)
    if about is None:
        return
    was = str(about.facts.get("worker")), about.name
    if was == (worker, name):
        return
    spaces.describe(msgspec.structs.replace(about, name=name, facts={**about.facts, "worker": worker}))

    def renamed(connection: sqlite3.Connection) -> None:
        sql = "UPDATE OR REPLACE alarms SET worker = ?, class = ? WHERE worker = ? AND class = ?"
        connection.execute(sql, (worker, name, *was))

    await clock.change(renamed)


async def remove(namespace: str, spaces: Resources[Namespace], clock: Clock) -> bool:
    """Its objects and their alarms. Whether there were any."""
    about = spaces.about(namespace)
    if about is None:
        return False
    was = str(about.facts.get("worker")), about.name

    def forgotten(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM alarms WHERE worker = ? AND class = ?", was)

    await clock.change(forgotten)
    return await spaces.remove(namespace)


__all__ = ["apply", "check", "kept", "received", "record_of", "remove"]
