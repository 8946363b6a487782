"""``to_js``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.values import JsArray, JsBigInt, JsBuffer, JsDict, JsMap
from runtime.values.objects import SAFE_INTEGER

_SAME = (str, float, bool, type(None), JsDict, JsArray, JsMap, JsBuffer)
Converter = Callable[[Any, Callable[[Any], Any], Callable[[Any, Any], None]], Any]


class Rules:
    """What is asked in turn about each value; ``missing`` is raised for what has no counterpart, if no proxy may
    stand for it."""

    def __init__(
        self, dicts: Callable[[Any], Any] | None, default: Converter | None, eager: Converter | None, proxies: bool,
        missing: type[Exception],
    ) -> None:  # fmt: skip
        self._dicts, self._default, self._eager = dicts, default, eager
        self._proxies, self._missing = proxies, missing
        self.proxied: list[object] = []  # what has no counterpart
        self._made: dict[int, Any] = {}  # what occurs twice, or holds itself, is converted once

    def convert(self, value: object, depth: int) -> object:
        if self._eager is not None and depth:
            return self._eager(value, lambda part: self._plainly(part, depth), self._cache)
        return self._plainly(value, depth)

    def _plainly(self, value: object, depth: int) -> object:
        if depth == 0 or isinstance(value, _SAME):
            return value
        if id(value) in self._made:
            return self._made[id(value)]
        if isinstance(value, int):
            return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else JsBigInt(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return JsBuffer(value)
        if isinstance(value, (dict, list, tuple, set, frozenset)):
            return self._container(value, depth - 1)
        return self._other(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        if isinstance(value, dict):
            pairs = JsArray(JsArray((key, self.convert(item, depth))) for key, item in value.items())
            return JsMap.new(pairs) if self._dicts is None else self._dicts(pairs)
        if isinstance(value, (list, tuple)):
            made = self._made[id(value)] = JsArray()
            made.extend(self.convert(item, depth) for item in value)
            return made
        from js import Set  # type: ignore[import-not-found,unused-ignore]

        return Set(self.convert(item, depth) for item in value)

    def _other(self, value: object, depth: int) -> object:
        from pyodide.ffi import JsProxy  # type: ignore[import-not-found,unused-ignore]

        if isinstance(value, JsProxy):
            return value
        if self._default is not None:
            return self._default(value, lambda part: self.convert(part, depth - 1), self._cache)
        if not self._proxies:
            raise self._missing(f"No conversion known for {value!r:.80}.")
        self.proxied.append(value)
        return value

    def _cache(self, value: object, made: object) -> None:
        self._made[id(value)] = made


__all__ = ["Rules"]
