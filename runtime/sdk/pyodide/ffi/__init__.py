"""``pyodide.ffi`` without JavaScript: Python values stay Python values, the conversions keep their shape.

``JsException`` is what a binding's call raises.
"""

from __future__ import annotations

import sys
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
from types import ModuleType
from typing import Any, Protocol

from runtime.isolate import suspending
from runtime.values import JsArray, JsBigInt, JsBuffer, JsDict, JsMap, JsNull, jsnull, nulls
from runtime.values.objects import JsError
from runtime.web import Response

_OURS = ("runtime", "bindings", "js", "pyodide")  # whose values stand for JavaScript's


class _AnyProxy(type):
    def __instancecheck__(cls, value: object) -> bool:
        return type(value).__module__.partition(".")[0] in _OURS and not isinstance(value, (JsNull, JsBigInt))

    def __call__(cls, *args: object, **members: object) -> JsDict:
        return JsDict(*args, **members)


class JsProxy(metaclass=_AnyProxy):
    """What stands for an object of JavaScript's; called, it makes a plain one, as ``js.Object.new()``."""


JsException = JsError
JsMutableMap = JsMap
JsCallable = JsOnceCallable = Callable
JsPromise = Awaitable
JsIterable, JsIterator, JsGenerator = Iterable, Iterator, Generator
JsAsyncIterable, JsAsyncIterator, JsAsyncGenerator = AsyncIterable, AsyncIterator, AsyncGenerator
JsTypedArray = JsBuffer
JsFetchResponse = Response
IN_PYODIDE = IN_BROWSER = False
nulls.write()

__all__ = [
    "IN_BROWSER", "IN_PYODIDE", "ConversionError", "InternalError", "JsArray", "JsAsyncGenerator", "JsAsyncIterable",
    "JsAsyncIterator", "JsBigInt", "JsBuffer", "JsCallable", "JsCallableDoubleProxy", "JsDomElement", "JsDoubleProxy",
    "JsException", "JsFetchResponse", "JsGenerator", "JsIterable", "JsIterator", "JsMap", "JsMutableMap", "JsNull",
    "JsOnceCallable", "JsPromise", "JsProxy", "JsTypedArray", "JsWeakRef", "ToJsConverter", "can_run_sync",
    "create_once_callable", "create_proxy", "destroy_proxies", "jsnull", "register_js_module", "run_sync", "to_js",
    "unregister_js_module",
]  # fmt: skip


class ConversionError(Exception):
    """A value that has no counterpart on the other side. Nothing here raises it."""


class InternalError(Exception):
    """A bug in Pyodide. Nothing here raises it."""


class JsDomElement:
    """There is no document, so nothing is one."""


class JsWeakRef(Protocol):
    """What ``to_weakref()`` gives."""

    def deref(self) -> object: ...


class ToJsConverter(Protocol):
    """``to_js(..., default_converter=...)``: what a value is on the other side."""

    def __call__(
        self, value: object, convert: Callable[[Any], Any], cache: Callable[[Any, Any], None], /
    ) -> object: ...


def to_js(
    obj: object, /, *, depth: int = -1, pyproxies: list[Any] | None = None, create_pyproxies: bool = True,
    dict_converter: Callable[[Any], Any] | None = None, default_converter: ToJsConverter | None = None,
    eager_converter: ToJsConverter | None = None,
) -> Any:  # fmt: skip
    """``obj`` as JavaScript has it, ``depth`` levels deep: a dict what ``dict_converter`` makes of its pairs, usually
    ``Object.fromEntries``, or a Map without one; a list or tuple an Array, bytes a buffer. Anything else stays, and a
    proxy of it goes into ``pyproxies``; or it is what ``default_converter(value, convert, cache)`` says. Raises
    ConversionError for it if ``create_pyproxies`` is False."""
    from pyodide.ffi import _conversion  # type: ignore[import-not-found,attr-defined,unused-ignore]

    rules = _conversion.Rules(dict_converter, default_converter, eager_converter, create_pyproxies, ConversionError)
    made = rules.convert(obj, depth)
    if pyproxies is not None:
        pyproxies.extend(map(create_proxy, rules.proxied))
    return made


class JsDoubleProxy:
    """What ``create_proxy`` gives: ``value``, until it is destroyed."""

    _gone = "Object has already been destroyed"

    def __init__(self, value: Any) -> None:
        self.function = value

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.unwrap()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)

    @property
    def __wrapped__(self) -> object:  # whose parameters are this one's
        return self.unwrap()

    def getBuffer(self, type: str | None = None) -> JsDict:
        """``{data, release()}`` of what has bytes; ``data`` is a Uint8Array of them."""
        return JsDict(data=JsBuffer(self.unwrap()), release=lambda: None)

    def toJs(self, **options: object) -> object:
        return to_js(self.unwrap(), **options)  # type: ignore[arg-type]

    def copy(self) -> JsDoubleProxy:
        return create_proxy(self.unwrap())

    def unwrap(self) -> Any:
        """Raises JsException once it is destroyed."""
        if self.function is None:
            raise JsException("Error", self._gone)
        return self.function

    def destroy(self) -> None:
        self.function = None


class _Once(JsDoubleProxy):
    _gone = "OnceProxy can only be called once"

    def __call__(self, *args: object, **kwargs: object) -> object:
        function = self.unwrap()
        self.destroy()
        return function(*args, **kwargs)


class _Promised(JsDoubleProxy):
    """Of a coroutine or a future: ``ctx.waitUntil(create_proxy(work()))``."""

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.unwrap().__await__()  # type: ignore[no-any-return]


JsCallableDoubleProxy = JsDoubleProxy


def create_proxy(obj: object, /, **options: object) -> JsDoubleProxy:
    """``obj``, with the ``destroy()`` that Pyodide's proxies have."""
    return (_Promised if isinstance(obj, Awaitable) else JsDoubleProxy)(obj)


def destroy_proxies(proxies: Iterable[Any], /) -> None:
    for proxy in proxies:
        proxy.destroy()


def create_once_callable(obj: Callable[..., Any], /, **options: object) -> JsDoubleProxy:
    """``obj``, which can be called once. Raises JsException the second time."""
    return _Once(obj)


def register_js_module(name: str, jsproxy: object) -> None:
    """``import name`` gives the attributes, or the members, of ``jsproxy``."""
    module = ModuleType(name)
    vars(module).update(jsproxy if isinstance(jsproxy, dict) else vars(jsproxy))
    sys.modules[name] = module


def unregister_js_module(name: str) -> None:
    """Raises ValueError: there is none of that name."""
    if sys.modules.pop(name, None) is None:
        raise ValueError(f"Cannot unregister {name!r}: no Javascript module with that name is registered")


def __getattr__(name: str) -> Any:
    if name in ("run_sync", "can_run_sync"):
        suspending.want()
        return getattr(suspending, name)
    if name.startswith("__"):
        raise AttributeError(name)
    raise AttributeError(f"pyodide.ffi.{name} is not here: there is no JavaScript; it has: {', '.join(__all__)}")
