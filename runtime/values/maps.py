"""JavaScript's Map, as Pyodide's ``JsMap``: a dict with the names of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from runtime.values.proxies import Default, JsArray, attribute, taken, to_py


class JsMap(dict[Any, Any]):
    """A dict. What ``to_js`` makes of one."""

    @classmethod
    def new(cls, pairs: Iterable[Any] = ()) -> Self:
        return cls(pairs.items() if isinstance(pairs, Mapping) else [tuple(pair) for pair in pairs])

    def set(self, key: object, value: object) -> Self:
        self[key] = value
        return self

    def has(self, key: object) -> bool:
        return key in self

    def delete(self, key: object) -> bool:
        found = key in self
        self.pop(key, None)
        return found

    def entries(self) -> Iterator[JsArray]:
        return (JsArray(pair) for pair in self.items())

    def forEach(self, do: Callable[..., Any]) -> None:
        """``do(value, key, map)``, or as many of them as it takes."""
        count = taken(do)
        for key, value in list(self.items()):
            do(*(value, key, self)[:count])

    @property
    def size(self) -> int:
        return len(self)

    def to_py(self, *, depth: int = -1, default_converter: Default = None) -> dict[Any, Any]:
        plain: dict[Any, Any] = to_py(self, depth, default_converter)
        return plain

    def __getattr__(self, name: str) -> object:
        return attribute(self, name)


__all__ = ["JsMap"]
