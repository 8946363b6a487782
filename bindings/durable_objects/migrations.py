"""What a deploy's migrations make of a worker's classes on a host.

A worker's record says which tag was applied last and which namespace each class has: a class that is renamed, or goes
over to another worker, takes its namespace along, and with it its objects and their ids.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from bindings.durable_objects.tables import DURABLE_OBJECT, Export, Renamed, Step, Transferred
from runtime.errors import RequestError

_EXPORTS = "exports "  # how a tag begins that nobody has written
_AGAIN = 1000  # times that a name may have been used before


class Record(msgspec.Struct, frozen=True):
    """``classes``: class → namespace."""

    tag: str | None = None
    classes: dict[str, str] = {}


class Sent(msgspec.Struct, frozen=True):
    """``migrations`` of an upload. Wrangler sends the steps that are new; ``pilot deploy`` all of them, and in ``tags``
    the tag of each."""

    new_tag: str
    old_tag: str | None = None
    steps: list[Step] = []
    tags: list[str] = []


class Change(msgspec.Struct, frozen=True):
    """What a version would make of a record whose tag is ``before``; kept with the version. ``taken``: (worker, class,
    namespace) that come from another worker; ``gone``: namespaces of classes that are deleted."""

    before: str | None
    record: Record
    taken: list[tuple[str, str, str]] = []
    gone: list[str] = []

    def after(self, old: Record) -> Record:
        """The record that is to be: what others have added meanwhile stays."""
        named = {*self.record.classes.values(), *self.gone}
        others = {name: id for name, id in old.classes.items() if id not in named}
        return Record(self.record.tag, {**others, **self.record.classes})


Look = Callable[[str], Record]
"""Another worker's record."""


def shown_tag(record: Record) -> str | None:
    """As Cloudflare's API has it."""
    return None if record.tag is None or record.tag.startswith(_EXPORTS) else record.tag


def change(
    worker: str, metadata: Mapping[str, Any], record: Record, own: Sequence[str], look: Look, free: Callable[[str], str]
) -> Change:
    """Of an upload. ``own``: classes that its bindings name; ``free(name)``: a new class's namespace, unless that is
    taken. Raises RequestError."""
    fold = _Fold(worker, record, look, free)
    tag = record.tag
    if given := metadata.get("migrations"):
        sent = _converted(given, Sent, "migrations")
        for step in _pending(sent, record):
            fold.take(step)
        tag = sent.new_tag
    elif given := metadata.get("exports"):
        fold.become(_converted(given, dict[str, Export], "exports"))
        digest = hashlib.sha256(repr(sorted(fold.classes.items())).encode()).hexdigest()
        tag = _EXPORTS + digest[:16]
    for name in own:
        fold.make(name)
    return Change(record.tag, Record(tag, fold.classes), fold.taken, fold.gone)


def _pending(sent: Sent, record: Record) -> list[Step]:
    if sent.tags:
        if len(sent.tags) != len(sent.steps):
            raise RequestError(400, "the migrations have not one tag for each step")
        return sent.steps[sent.tags.index(record.tag) + 1 if record.tag in sent.tags else 0 :]
    if record.tag == sent.new_tag:
        return []
    if sent.old_tag is not None and sent.old_tag != record.tag:
        found = "none" if record.tag is None else repr(record.tag)
        raise RequestError(400, f"the migration goes on from tag {sent.old_tag!r}, and the worker has {found}")
    return sent.steps


def _converted(given: Any, kind: Any, what: str) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise RequestError(400, f"the metadata's {what!r}: {error}") from None


class _Fold:
    """A record on its way."""

    def __init__(self, worker: str, record: Record, look: Look, free: Callable[[str], str]) -> None:
        self._worker, self._look, self._free = worker, look, free
        self.classes = dict(record.classes)
        self.taken: list[tuple[str, str, str]] = []
        self.gone: list[str] = []

    def make(self, name: str) -> None:
        if name not in self.classes:
            used = {*self.classes.values(), *self.gone}
            first = self._free(name)
            names = [first, *(f"{first}-{number}" for number in range(2, _AGAIN))]
            self.classes[name] = next(namespace for namespace in names if namespace not in used)

    def take(self, step: Step) -> None:
        """Raises RequestError."""
        for item in step.renamed_classes:
            self._rename(item)
        for name in (*step.new_classes, *step.new_sqlite_classes):
            self.make(name)
        for moved in step.transferred_classes:
            self._transfer(moved)
        for name in step.deleted_classes:
            self._delete(name)

    def become(self, exports: Mapping[str, Export]) -> None:
        """Raises RequestError."""
        for name, export in exports.items():
            if export.type != DURABLE_OBJECT:
                continue
            if export.state == "renamed" and export.renamed_to and name in self.classes:
                self._rename(Renamed(name, export.renamed_to))
            elif export.state == "expecting-transfer" and export.transfer_from and name not in self.classes:
                self._transfer(Transferred(name, export.transfer_from, name))
            elif export.state == "deleted":
                self._delete(name)
            elif export.state == "created":
                self.make(name)

    def _delete(self, name: str) -> None:
        if (namespace := self.classes.pop(name, None)) is not None:
            self.gone.append(namespace)

    def _rename(self, item: Renamed) -> None:
        if item.old not in self.classes:
            if item.new in self.classes:
                return  # done before
            raise RequestError(400, f"the class {item.old!r} cannot be renamed: {self._worker} has none of that name")
        if item.new in self.classes:
            raise RequestError(400, f"the class {item.old!r} cannot be renamed: {item.new!r} is there already")
        self.classes[item.new] = self.classes.pop(item.old)

    def _transfer(self, item: Transferred) -> None:
        namespace = self._look(item.from_script).classes.get(item.old)
        if namespace is None:
            if item.new in self.classes:
                return
            raise RequestError(400, f"{item.from_script} has no class {item.old!r} that could go over")
        if item.new in self.classes:
            raise RequestError(400, f"the class {item.old!r} cannot go over: {item.new!r} is there already")
        self.classes[item.new] = namespace
        self.taken.append((item.from_script, item.old, namespace))


__all__ = ["Change", "Record", "Sent", "change", "shown_tag"]
