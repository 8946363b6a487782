"""Keys and values: what ``storage`` and ``storage.kv`` do alike, at once. Keys are in the order of their bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bindings.durable_objects.storage.file import ObjectFile
from bindings.durable_objects.storage.values import cloned, read, text
from runtime.values import JsException, JsMap, js_integer

_GET = "SELECT value FROM _cf_KV WHERE key = ?"
_PUT = "INSERT OR REPLACE INTO _cf_KV VALUES (?, ?)"
_DELETE = "DELETE FROM _cf_KV WHERE key = ?"
_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_BEFORE = ("trigger", "view", "table", "index")
_LIST_OPTIONS = ("start", "startAfter", "end", "prefix", "reverse", "limit", "allowConcurrency", "noCache")


def get(file: ObjectFile, key: object) -> Any:
    rows = file.run(_GET, (text(key),)) if file.exists else []
    return read(rows[0][0]) if rows else None


def get_many(file: ObjectFile, keys: Sequence[object]) -> JsMap:
    """Those that are there, in order."""
    found = {key: rows[0][0] for key in map(text, keys) if file.exists and (rows := file.run(_GET, (key,)))}
    return JsMap({key: read(found[key]) for key in sorted(found, key=str.encode)})


def put(file: ObjectFile, key: object, value: object) -> None:
    kept = cloned(value)
    file.write(_PUT, (text(key), kept))


def put_many(file: ObjectFile, entries: Mapping[Any, object]) -> None:
    """All of them or, when one cannot be kept, none."""
    for pair in [(text(key), cloned(value)) for key, value in entries.items()]:
        file.write(_PUT, pair)


def delete(file: ObjectFile, key: object) -> bool:
    """Whether it was there."""
    return file.exists and file.write(_DELETE, (text(key),)) > 0


def delete_many(file: ObjectFile, keys: Sequence[object]) -> int:
    """How many were there."""
    return sum(file.write(_DELETE, (key,)) for key in map(text, keys)) if file.exists else 0


def listed(file: ObjectFile, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Raises JsException for options that make no sense."""
    options = {name: value for name, value in given.items() if value is not None and name in _LIST_OPTIONS}
    if "start" in options and "startAfter" in options:
        raise JsException("list() cannot be called with both start and startAfter values.", "TypeError")
    limit = _limit(options.get("limit"))
    conditions, values = _range(options)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = "DESC" if options.get("reverse") else "ASC"
    sql = f"SELECT key, value FROM _cf_KV{where} ORDER BY key {order} LIMIT ?"
    rows = file.run(sql, [*values, limit]) if file.exists else []
    return ((key, read(value)) for key, value in rows)


def _limit(given: object) -> int:
    """-1: there is none. Raises JsException."""
    if given is None:
        return -1
    if (limit := js_integer(given)) <= 0:
        raise JsException("List limit must be positive.", "TypeError")
    return limit


def forget_all(file: ObjectFile) -> None:
    """Every key, every table of the object's own, and the alarm."""
    if not file.exists:
        return
    file.begin()
    listed = file.run("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND sql IS NOT NULL")
    own = [row for row in listed if not row[1].startswith("_cf_")]
    virtual = "CREATE VIRTUAL"  # whose other tables go with it, and not by themselves
    for kind, name, _ in sorted(own, key=lambda row: (_BEFORE.index(row[0]), not row[2].startswith(virtual))):
        quoted = name.replace('"', '""')
        file.run(f'DROP {kind} IF EXISTS "{quoted}"')
    file.run("DELETE FROM _cf_KV")
    file.set_alarm(None)


def _range(options: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Conditions, and what is bound to them."""
    bounds = [(f"key {sign} ?", text(options[name])) for name, sign in _BOUNDS if name in options]
    if prefix := text(options.get("prefix", "")):
        bounds.append(("key >= ?", prefix))
        if (after := _after(prefix)) is not None:
            bounds.append(("key < ?", after))
    return [condition for condition, _ in bounds], [value for _, value in bounds]


_BOUNDS = (("start", ">="), ("startAfter", ">"), ("end", "<"))


def _after(prefix: str) -> str | None:
    """The first text behind all that begin so; None: there is none."""
    stem = prefix.rstrip(chr(_LAST))
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


__all__ = ["delete", "delete_many", "forget_all", "get", "get_many", "listed", "put", "put_many"]
