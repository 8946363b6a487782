"""``Set``."""

from __future__ import annotations

from builtins import set as Members
from collections.abc import Callable, Iterable
from typing import Any

from runtime.values import JsArray, Named
from runtime.values.iterators import JsIterator
from runtime.values.proxies import taken


class Lookup:
    """What the sets of JavaScript's have in common."""

    def has(self: Any, item: object) -> bool:
        return item in self

    def delete(self: Any, item: object) -> bool:
        found = item in self
        self.discard(item)
        return found


class Set(Members[Any], Lookup, Named):
    """A set; its order is Python's."""

    @classmethod
    def new(cls, items: Iterable[Any] = ()) -> Set:
        return cls(items)

    def add(self, item: object) -> Set:  # type: ignore[override]
        super().add(item)
        return self

    @property
    def size(self) -> int:
        return len(self)

    def values(self) -> JsIterator:
        return JsIterator(self)

    def entries(self) -> JsIterator:
        return JsIterator(JsArray((item, item)) for item in self)

    def forEach(self, do: Callable[..., object]) -> None:
        """``do(item, item, set)``, or as many of them as it takes."""
        count = taken(do)
        for item in list(self):
            do(*(item, item, self)[:count])

    def union(self, *others: Iterable[Any]) -> Set:
        return Set(super().union(*others))

    def intersection(self, *others: Iterable[Any]) -> Set:
        return Set(super().intersection(*others))

    def difference(self, *others: Iterable[Any]) -> Set:
        return Set(super().difference(*others))

    def symmetricDifference(self, other: Iterable[Any]) -> Set:
        return Set(super().symmetric_difference(other))

    isSubsetOf, isSupersetOf, isDisjointFrom = Members.issubset, Members.issuperset, Members.isdisjoint

    def to_py(self, **_: object) -> Members[Any]:
        return Members(self)


__all__ = ["Lookup", "Set"]
