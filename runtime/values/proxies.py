"""JavaScript's Array, as Pyodide's ``JsArray``; and what every ``JsProxy`` of Pyodide's has besides the object's own:
``object_entries()``, ``to_py(depth=...)``, ``js_id`` and so on.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterator
from functools import cmp_to_key, reduce
from itertools import chain
from types import SimpleNamespace
from typing import Any, Self

from runtime.values.buffers import JsBuffer
from runtime.values.iterators import JsIterator

Default = Callable[..., Any] | None
_PLAIN = (str, bytes, int, float, bool, type(None), memoryview)


class JsArray(list[Any]):
    """A list. Callbacks get as many of (item, index, array) as they take."""

    @property
    def length(self) -> int:
        return len(self)

    def push(self, *items: object) -> int:
        self.extend(items)
        return len(self)

    def to_py(self, *, depth: int = -1, default_converter: Default = None) -> list[Any]:
        """Plain lists and dicts, ``depth`` levels deep; -1: all the way down."""
        plain: list[Any] = to_py(self, depth, default_converter)
        return plain

    def toArray(self) -> Self:
        return self

    def sort(self, compare: Callable[[Any, Any], Any] | None = None, **options: object) -> Self:  # type: ignore[override]
        """In place. ``compare(one, other)`` is JavaScript's; ``key`` and ``reverse`` are Python's."""
        super().sort(**options if compare is None else {"key": cmp_to_key(compare)})
        return self

    def reverse(self) -> Self:  # type: ignore[override]
        super().reverse()
        return self

    def toSorted(self, compare: Callable[[Any, Any], Any] | None = None) -> JsArray:
        return JsArray(self).sort(compare)

    def toReversed(self) -> JsArray:
        return JsArray(self[::-1])

    def splice(self, start: int, count: int | None = None, *items: object) -> JsArray:
        """Takes ``count`` items out, all the rest unless told, and puts ``items`` in their place."""
        first = slice(start, None).indices(len(self))[0]
        part = slice(first, len(self) if count is None else first + max(count, 0))
        taken_out = JsArray(self[part])
        self[part] = items
        return taken_out

    def toSpliced(self, start: int, count: int | None = None, *items: object) -> JsArray:
        whole = JsArray(self)
        whole.splice(start, count, *items)
        return whole

    def with_(self, index: int, item: object) -> JsArray:
        whole = JsArray(self)
        whole[index] = item
        return whole

    def fill(self, item: object, start: int = 0, end: int | None = None) -> Self:
        for index in range(*slice(start, end).indices(len(self))):
            self[index] = item
        return self

    def at(self, index: int) -> object:
        """None beyond its ends."""
        return self[index] if -len(self) <= index < len(self) else None

    def shift(self) -> object:
        return self.pop(0) if self else None

    def unshift(self, *items: object) -> int:
        self[:0] = items
        return len(self)

    def slice(self, start: int = 0, end: int | None = None) -> JsArray:
        return JsArray(self[start:end])

    def concat(self, *others: object) -> JsArray:
        return JsArray(chain(self, *(other if isinstance(other, list) else [other] for other in others)))

    def join(self, separator: str = ",") -> str:
        from runtime.values.texts import js_string  # which few workers need

        return separator.join("" if item is None else js_string(item) for item in self)

    def includes(self, item: object) -> bool:
        return item in self

    def indexOf(self, item: object) -> int:
        return self.index(item) if item in self else -1

    def map(self, change: Callable[..., Any]) -> JsArray:
        return JsArray(self._each(change))

    def filter(self, wanted: Callable[..., Any]) -> JsArray:
        return JsArray(item for item, found in zip(self, self._each(wanted), strict=True) if found)

    def find(self, wanted: Callable[..., Any]) -> object:
        return next(iter(self.filter(wanted)), None)

    def findIndex(self, wanted: Callable[..., Any]) -> int:
        return next((index for index, found in enumerate(self._each(wanted)) if found), -1)

    def findLast(self, wanted: Callable[..., Any]) -> object:
        return next(reversed(self.filter(wanted)), None)

    def findLastIndex(self, wanted: Callable[..., Any]) -> int:
        return max((index for index, found in enumerate(self._each(wanted)) if found), default=-1)

    def flatMap(self, change: Callable[..., Any]) -> JsArray:
        return self.map(change).flat()

    def lastIndexOf(self, item: object) -> int:
        return len(self) - 1 - self[::-1].index(item) if item in self else -1

    def entries(self) -> JsIterator:
        return JsIterator(JsArray(pair) for pair in enumerate(self))

    def values(self) -> JsIterator:
        return JsIterator(self)

    def forEach(self, do: Callable[..., Any]) -> None:
        for _ in self._each(do):
            pass

    def some(self, wanted: Callable[..., Any]) -> bool:
        return any(self._each(wanted))

    def every(self, wanted: Callable[..., Any]) -> bool:
        return all(self._each(wanted))

    def reduce(self, combine: Callable[..., Any], *first: object) -> object:
        return reduce(combine, self, *first)

    def reduceRight(self, combine: Callable[..., Any], *first: object) -> object:
        return reduce(combine, self[::-1], *first)

    def flat(self, depth: float = 1) -> JsArray:
        whole = JsArray(chain.from_iterable(item if isinstance(item, list) else [item] for item in self))
        deeper = depth > 1 and any(isinstance(item, list) for item in whole)
        return whole.flat(depth - 1) if deeper else whole

    def _each(self, function: Callable[..., Any]) -> Iterator[Any]:
        count = taken(function)
        return (function(*(item, index, self)[:count]) for index, item in enumerate(self))

    def __getattr__(self, name: str) -> object:
        return attribute(self, name)


def taken(function: Callable[..., Any]) -> int:
    """How many of three arguments a callback takes."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return 3
    return sum(kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds)


def attribute(value: object, name: str) -> object:
    """Raises AttributeError: a proxy has none of that name either."""
    make = _ATTRIBUTES.get(name)
    if make is None:
        raise AttributeError(name)
    return make(value)


def to_py(value: object, depth: int = -1, default_converter: Default = None) -> Any:
    """Dicts, lists, sets and memoryviews of it, ``depth`` levels deep. What has no counterpart in Python stays, or is
    ``default_converter(value, convert, cache)``."""
    return _Conversion(default_converter).convert(value, depth)


class _Conversion:
    def __init__(self, default_converter: Callable[..., Any] | None) -> None:
        self._default = default_converter
        self._made: dict[int, Any] = {}  # what occurs twice is converted once

    def convert(self, value: object, depth: int) -> object:
        if depth == 0 or isinstance(value, _PLAIN):
            return value
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, dict) and hasattr(type(value), "to_py"):
            made = self._made[id(value)] = {}
            made.update((key, self.convert(item, depth - 1)) for key, item in value.items())
            return made
        if isinstance(value, list):
            items = self._made[id(value)] = []
            items.extend(self.convert(item, depth - 1) for item in value)
            return items
        if isinstance(value, JsBuffer):
            return value.to_py()
        if isinstance(value, set):
            return {self.convert(item, depth - 1) for item in value}
        if self._default is None or isinstance(value, dict):
            return value
        return self._default(value, lambda part: self.convert(part, depth - 1), self._made.__setitem__)


def _entries(value: object) -> list[tuple[str, Any]]:
    if isinstance(value, dict) and not hasattr(type(value), "entries"):  # a Map has no properties
        return list(value.items())
    return [(str(index), item) for index, item in enumerate(value)] if isinstance(value, list) else []


def _constructor(value: object) -> SimpleNamespace:
    if isinstance(value, list):
        return SimpleNamespace(name="Array")
    return SimpleNamespace(name="Map" if hasattr(type(value), "entries") else "Object")


def _weak(value: object) -> SimpleNamespace:
    return SimpleNamespace(deref=weakref.ref(value))


_ATTRIBUTES: dict[str, Callable[[Any], Any]] = {
    "js_id": id,
    "typeof": lambda value: "object",
    "constructor": _constructor,
    "to_py": lambda value: lambda *, depth=-1, default_converter=None: to_py(value, depth, default_converter),
    "object_entries": lambda value: lambda: JsArray(JsArray(pair) for pair in _entries(value)),
    "object_keys": lambda value: lambda: JsArray(key for key, _ in _entries(value)),
    "object_values": lambda value: lambda: JsArray(item for _, item in _entries(value)),
    "as_object_map": lambda value: lambda *, hereditary=False: value,
    "as_py_json": lambda value: lambda: value,
    "hasOwnProperty": lambda value: lambda name: name in dict(_entries(value)),
    "toString": lambda value: lambda: value.join() if isinstance(value, JsArray) else "[object Object]",
    "to_weakref": lambda value: lambda: _weak(value),
}

__all__ = ["Default", "JsArray", "attribute", "taken", "to_py"]
