"""Headers, FormData and URLSearchParams as JavaScript has them: what they hold is iterated over in pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.values.iterators import JsIterator
from runtime.values.proxies import JsArray, taken


class Paired:
    """Mixed in before a class with ``keys``, ``values`` and ``items`` of Python's."""

    __slots__ = ()

    if not TYPE_CHECKING:  # for which they are what the class has itself

        def __iter__(self) -> JsIterator:
            return JsIterator(JsArray(pair) for pair in self.items())

        entries = __iter__

        def keys(self) -> JsIterator:
            return JsIterator(super().keys())

        def values(self) -> JsIterator:
            return JsIterator(super().values())

    def forEach(self, do: Callable[..., object]) -> None:
        """``do(value, name, self)``, or as many of them as it takes."""
        count = taken(do)
        for name, value in self.items():  # type: ignore[attr-defined]
            do(*(value, name, self)[:count])


__all__ = ["Paired"]
