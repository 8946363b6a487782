"""A list of (name, value) pairs: what FormData and URLSearchParams have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

V = TypeVar("V")


class Pairs(Generic[V]):
    """Ordered pairs; a name may occur more than once. Where Python habit differs from JavaScript: iterating
    yields names, as a dict does; ``items()`` yields pairs; ``pairs["x"]`` raises ``KeyError`` if missing."""

    def __init__(self) -> None:
        self._pairs: list[tuple[str, V]] = []

    def _changed(self) -> None:
        """Called after every change."""

    def get(self, name: str, default: V | None = None) -> V | None:
        """The first value of ``name``, or ``default``."""
        return next((value for known, value in self._pairs if known == name), default)

    def get_all(self, name: str) -> list[V]:
        return [value for known, value in self._pairs if known == name]

    def append(self, name: str, value: V) -> None:
        self._pairs.append((str(name), value))
        self._changed()

    def set(self, name: str, value: V) -> None:
        """Replace every value of ``name``; the first keeps its place."""
        places = [i for i, (known, _) in enumerate(self._pairs) if known == name]
        if not places:
            self._pairs.append((str(name), value))
        else:
            self._pairs[places[0]] = (name, value)
            self._pairs = [p for i, p in enumerate(self._pairs) if i not in places[1:]]
        self._changed()

    def delete(self, name: str, value: V | None = None) -> None:
        """Remove every pair with this name (and this value, if given)."""
        self._pairs = [(k, v) for k, v in self._pairs if k != name or (value is not None and v != value)]
        self._changed()

    def has(self, name: str, value: V | None = None) -> bool:
        return any(k == name and (value is None or v == value) for k, v in self._pairs)

    def keys(self) -> list[str]:
        return [name for name, _ in self._pairs]

    def values(self) -> list[V]:
        return [value for _, value in self._pairs]

    def items(self) -> list[tuple[str, V]]:
        return self._pairs.copy()

    def __getitem__(self, name: str) -> V:
        for known, value in self._pairs:
            if known == name:
                return value
        raise KeyError(name)

    def __setitem__(self, name: str, value: V) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.delete(name)

    def __contains__(self, name: object) -> bool:
        return any(known == name for known, _ in self._pairs)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pairs!r})"

    getAll = get_all
    entries = items
