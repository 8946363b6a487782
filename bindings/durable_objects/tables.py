"""``[durable_objects]``, ``[[migrations]]`` and ``[exports.CLASS]``: what may stand there, and what is wrong with it.

Facts: docs/reference/bindings.md#durable-objects.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from runtime.config import Config

KEY, MIGRATIONS, EXPORTS = "durable_objects", "migrations", "exports"
DURABLE_OBJECT = "durable-object"  # an export's type
STATES = ("created", "deleted", "renamed", "transferred", "expecting-transfer")


class Bound(msgspec.Struct, frozen=True):
    """One of ``[[durable_objects.bindings]]``."""

    name: str
    class_name: str
    script_name: str | None = None
    environment: str | None = None


class Table(msgspec.Struct, frozen=True):
    bindings: list[Bound] = []


class Deployed(Table, frozen=True):
    """What a host makes of it. ``classes``: this worker's → the ids of their namespaces; ``taken``: those that come
    from another worker."""

    classes: dict[str, str] | None = None
    taken: list[str] = []


class Renamed(msgspec.Struct, frozen=True, rename={"old": "from", "new": "to"}):
    old: str
    new: str


class Transferred(msgspec.Struct, frozen=True, rename={"old": "from", "new": "to"}):
    old: str
    from_script: str
    new: str


class Step(msgspec.Struct, frozen=True):
    """What one migration does."""

    new_classes: list[str] = []
    new_sqlite_classes: list[str] = []
    renamed_classes: list[Renamed] = []
    deleted_classes: list[str] = []
    transferred_classes: list[Transferred] = []


class Migration(Step, frozen=True, kw_only=True):
    """One of ``[[migrations]]``."""

    tag: str


class Export(msgspec.Struct, frozen=True):
    """One of ``[exports.CLASS]``: where it is no Durable Object, nothing else is looked at."""

    type: str
    state: str = "created"
    storage: str = "sqlite"
    renamed_to: str | None = None
    transferred_to: str | None = None
    transfer_from: str | None = None


def bound(config: Config) -> list[Bound]:
    return config.typed(KEY, Table).bindings if KEY in config.products else []


def migrations(config: Config) -> list[Migration]:
    return config.tables(MIGRATIONS, Migration)


def exports(config: Config) -> dict[str, Export]:
    """Those that are Durable Objects, by class."""
    found = config.typed(EXPORTS, dict[str, Export]) if EXPORTS in config.products else {}
    return {name: export for name, export in found.items() if export.type == DURABLE_OBJECT}


def is_own(config: Config, binding: Bound) -> bool:
    """Whether the class is one of this worker's."""
    return binding.script_name is None or binding.script_name == config.name


def classes(config: Config) -> list[str]:
    """This worker's classes, in order: those that are bound, and those that are named."""
    own = [binding.class_name for binding in bound(config) if is_own(config, binding)]
    return list(dict.fromkeys([*own, *_migrated(migrations(config)), *_exported(exports(config))]))


def _migrated(steps: list[Migration]) -> Iterator[str]:
    found: dict[str, None] = {}
    for step in steps:
        found |= dict.fromkeys([*step.new_classes, *step.new_sqlite_classes])
        found |= dict.fromkeys([item.new for item in step.renamed_classes])
        found |= dict.fromkeys([item.new for item in step.transferred_classes])
        for gone in (*step.deleted_classes, *(item.old for item in step.renamed_classes)):
            found.pop(gone, None)
    yield from found


def _exported(named: dict[str, Export]) -> Iterator[str]:
    yield from (name for name, export in named.items() if export.state in ("created", "expecting-transfer"))


def check(config: Config) -> None:
    """Raises ConfigError."""
    for number, binding in enumerate(bound(config)):
        if binding.environment is not None and binding.script_name is None:
            what = 'binding should have a "script_name" field if "environment" is present.'
            raise config.error(KEY, what, "bindings", number, remedy=f'Add:  script_name = "{config.name}"')
    steps, named = migrations(config), exports(config)
    if steps and named:
        what = "[[migrations]] and [exports] of Durable Objects exclude each other"
        raise config.error(EXPORTS, what, remedy="Keep one of them.")
    tags = [step.tag for step in steps]
    for number, tag in enumerate(tags):
        if not tag:
            raise config.error(MIGRATIONS, "'tag' is empty", number, remedy='Write:  tag = "v1"')
        if tag in tags[:number]:
            raise config.error(MIGRATIONS, f"the tag {tag!r} stands there twice", number, remedy="Give it another.")
    for name, export in named.items():
        if export.state not in STATES:
            known = f"Known: {', '.join(STATES)}"
            raise config.error(EXPORTS, f"'{export.state}' is no state", name, "state", remedy=known)


def remarks(config: Config) -> list[str]:
    """What is worth a word."""
    found, old = [], sorted({name for step in migrations(config) for name in step.new_classes})
    if old:
        found.append(
            f"[[migrations]] new_classes: {', '.join(old)} has SQLite here, and would not on Cloudflare: write "
            "new_sqlite_classes"
        )
    named = {*_migrated(migrations(config)), *exports(config)}
    own = {binding.class_name for binding in bound(config) if is_own(config, binding)}
    if unnamed := sorted(own - named):
        found.append(
            f"[durable_objects]: no migration names {', '.join(unnamed)}, which a deploy to Cloudflare wants:  "
            f'[[migrations]] tag = "v1", new_sqlite_classes = {msgspec.json.encode(unnamed).decode()}'
        )
    return found


__all__ = [
    "DURABLE_OBJECT", "EXPORTS", "KEY", "MIGRATIONS", "Bound", "Deployed", "Export", "Migration", "Renamed", "Step",
    "Table", "Transferred", "bound", "check", "classes", "exports", "is_own", "migrations", "remarks",
]  # fmt: skip
