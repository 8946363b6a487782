"""What ``keys()``, ``values()`` and ``entries()`` give: Python's iterators, with the ``next()`` of JavaScript's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

from runtime.values.objects import JsDict


class Stepped:
    """Mixed into what can be iterated over: steps, each the next of one and the same iterator."""

    _steps: Iterator[Any] | None = None

    def __next__(self) -> object:
        if self._steps is None:
            self._steps = iter(self)  # type: ignore[call-overload]
        return next(self._steps)

    def next(self) -> JsDict:
        """``{done, value}``."""
        try:
            return JsDict(done=False, value=self.__next__())
        except StopIteration:
            return JsDict(done=True, value=None)


class JsIterator(Stepped):
    def __init__(self, items: Iterable[Any]) -> None:
        self._steps = iter(items)

    def __iter__(self) -> Self:
        return self


__all__ = ["JsIterator", "Stepped"]
