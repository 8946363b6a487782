"""``pyodide.ffi`` without JavaScript: Python values stay Python values, the conversions keep their shape.

``JsException`` is what a binding's call raises.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from typing import Any

from runtime.isolate import suspending
from runtime.values import JsBigInt, JsBuffer, JsDict, JsException

JsProxy = JsMap = JsMutableMap = JsDict  # a plain object, as ``js.Object.fromEntries`` makes
JsArray = list
JsCallable = JsOnceCallable = Callable
JsPromise = Awaitable
JsIterable, JsIterator, JsGenerator = Iterable, Iterator, Generator
JsAsyncIterable, JsAsyncIterator, JsAsyncGenerator = AsyncIterable, AsyncIterator, AsyncGenerator
JsTypedArray = JsBuffer
jsnull = JsNull = None  # null and undefined are both None here
IN_PYODIDE = IN_BROWSER = False

__all__ = [
    "ConversionError", "InternalError", "JsArray", "JsAsyncGenerator", "JsAsyncIterable", "JsAsyncIterator", "JsBigInt",
    "JsBuffer", "JsCallable", "JsDoubleProxy", "JsException", "JsGenerator", "JsIterable", "JsIterator", "JsMap",
    "JsMutableMap", "JsNull", "JsOnceCallable", "JsPromise", "JsProxy", "JsTypedArray", "create_once_callable",
    "create_proxy", "destroy_proxies", "jsnull", "to_js",
]  # fmt: skip


class ConversionError(Exception):
    """A value that has no counterpart on the other side. Nothing here raises it."""


class InternalError(Exception):
    """A bug in Pyodide. Nothing here raises it."""


def to_js(value: object, *, dict_converter: Callable[[Any], Any] | None = None, **options: object) -> Any:
    """``value`` with every dict in it given to ``dict_converter`` as pairs, usually ``Object.fromEntries``.

    Without one, dicts stay dicts (Pyodide makes a Map). Pyodide's other options have no meaning here.
    """
    if isinstance(value, dict):
        pairs = [(key, to_js(item, dict_converter=dict_converter)) for key, item in value.items()]
        return dict(pairs) if dict_converter is None else dict_converter(pairs)
    if isinstance(value, (bytes, memoryview)):
        return JsBuffer(value)
    if isinstance(value, (list, tuple)):
        return [to_js(item, dict_converter=dict_converter) for item in value]
    return value


class JsDoubleProxy:
    """What ``create_proxy`` gives."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)

    def destroy(self) -> None:
        """Nothing to free: Python has a garbage collector."""


def create_proxy(value: Callable[..., Any], **options: object) -> JsDoubleProxy:
    """``value``, with the ``destroy()`` that Pyodide's proxies have."""
    return JsDoubleProxy(value)


def destroy_proxies(proxies: object) -> None:
    """Nothing to free."""


def create_once_callable(function: Callable[..., Any]) -> JsDoubleProxy:
    return JsDoubleProxy(function)


def __getattr__(name: str) -> Any:
    if name in ("run_sync", "can_run_sync"):
        suspending.want()
        return getattr(suspending, name)
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"pyodide.ffi.{name} is not here: there is no JavaScript; it has: {', '.join(__all__)}")
