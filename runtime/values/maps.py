"""JavaScript's Map, as Pyodide's ``JsMap``: a dict with the names of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, KeysView, Mapping, ValuesView
from typing import Any, Self

from runtime.values.iterators import JsIterator, Stepped
from runtime.values.objects import JsDict
from runtime.values.proxies import JsArray, taken


class _Keys(Stepped, KeysView[Any]): ...


class _Values(Stepped, ValuesView[Any]): ...


class JsMap(JsDict):
    """A dict. What ``to_js`` makes of one, and what lists of an object's storage and several keys of KV's are: their
    keys are attributes too."""

    @classmethod
    def new(cls, pairs: Iterable[Any] = ()) -> Self:
        return cls(pairs.items() if isinstance(pairs, Mapping) else [tuple(pair) for pair in pairs])

    @classmethod
    def groupBy(cls, items: Iterable[Any], key: Callable[..., Any]) -> Self:
        made, count = cls(), taken(key)
        for index, item in enumerate(items):
            made.setdefault(key(*(item, index)[:count]), JsArray()).append(item)
        return made

    def set(self, key: Any, value: object) -> Self:
        self[key] = value
        return self

    def has(self, key: object) -> bool:
        return key in self

    def delete(self, key: Any) -> bool:
        found = key in self
        self.pop(key, None)
        return found

    def keys(self) -> _Keys:  # type: ignore[override]
        return _Keys(self)

    def values(self) -> _Values:  # type: ignore[override]
        return _Values(self)

    def entries(self) -> JsIterator:
        return JsIterator(JsArray(pair) for pair in self.items())

    def forEach(self, do: Callable[..., Any]) -> None:
        """``do(value, key, map)``, or as many of them as it takes."""
        count = taken(do)
        for key, value in list(self.items()):
            do(*(value, key, self)[:count])

    @property
    def size(self) -> int:
        return len(self)


__all__ = ["JsMap"]
