"""The JavaScript globals that Python Workers use, made of Python: ``from js import Response, console``.

The classes are those of ``workers``, with Pyodide's ``Response.new(...)`` in place of ``new Response(...)``.
Anything else of JavaScript is not here: importing it says so.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from pyodide.ffi import JsProxy  # type: ignore[import-not-found,unused-ignore]  # beside this one, on sys.path

from js import _later  # type: ignore[import-not-found,unused-ignore]  # beside this one, on sys.path
from runtime import web
from runtime.isolate import ambient
from runtime.web import fetch
from runtime.web.sockets import WebSocket, WebSocketPair, WebSocketRequestResponsePair

__all__ = [
    "JSON", "URL", "AbortController", "AbortSignal", "Blob", "Date", "File", "FormData", "Headers", "Object",
    "ReadableStream", "Request", "Response", "URLSearchParams", "WebSocket", "WebSocketPair",
    "WebSocketRequestResponsePair", "console", "fetch",
]  # fmt: skip

AbortSignal = web.AbortSignal
T = TypeVar("T", bound=MutableMapping[str, Any])


class _New:
    """``Class.new(...)``, which is how Pyodide spells ``new Class(...)``."""

    __slots__ = ()

    @classmethod
    def new(cls, *args: Any, **options: Any) -> Self:
        return cls(*args, **options)


class Response(web.Response, _New):
    __slots__ = ()


class Request(web.Request, _New):
    __slots__ = ()


class Headers(web.Headers, _New):
    __slots__ = ()


class URL(web.URL, _New):
    __slots__ = ()


class URLSearchParams(web.URLSearchParams, _New): ...


class FormData(web.FormData, _New): ...


class Blob(web.Blob, _New):
    __slots__ = ()


WebSocket.blob = Blob  # so that it is one for whoever asks this module


class File(web.File, _New):
    __slots__ = ()


class AbortController(web.AbortController, _New):
    __slots__ = ()


class ReadableStream(web.ReadableStream, _New):
    """``new`` takes an async iterator as well as ``{start, pull, cancel}``."""

    __slots__ = ()

    @classmethod
    def new(cls, *args: Any, **options: Any) -> Any:
        source = args[0] if args else options
        if hasattr(source, "__aiter__") or isinstance(source, bytes):
            return cls(*args, **options)
        from runtime.web.globals.piping import from_source  # hardly anybody's stream

        return from_source(source)


class console:
    """Prints; ``warn`` and ``error`` to standard error."""

    @staticmethod
    def log(*values: object) -> None:
        print(*values)

    @staticmethod
    def error(*values: object) -> None:
        print(*values, file=sys.stderr)

    info = debug = log
    warn = error


class JSON:
    @staticmethod
    def stringify(value: object, replacer: None = None, space: int | str | None = None) -> str:
        """JSON as JavaScript writes it. A ``replacer`` is not supported."""
        if replacer is not None:
            raise TypeError("JSON.stringify: a replacer is not supported; change the value first")
        separators = (",", ":") if space is None else (",", ": ")
        return json.dumps(value, ensure_ascii=False, separators=separators, indent=space)

    @staticmethod
    def parse(text: str) -> Any:
        return json.loads(text, object_hook=JsProxy)


class Object:
    """Plain objects, which are dicts whose keys are attributes too."""

    @staticmethod
    def new() -> JsProxy:
        return JsProxy()

    @staticmethod
    def fromEntries(pairs: Iterable[Any]) -> JsProxy:
        return JsProxy({str(key): value for key, value in pairs})

    @staticmethod
    def entries(value: Mapping[str, Any]) -> list[list[Any]]:
        return [list(pair) for pair in value.items()]

    @staticmethod
    def keys(value: Mapping[str, Any]) -> list[str]:
        return list(value)

    @staticmethod
    def values(value: Mapping[str, Any] | WebSocketPair) -> list[Any]:
        if isinstance(value, WebSocketPair):
            return value.object_values()
        return [value[key] for key in value]

    @staticmethod
    def assign(target: T, *sources: Mapping[str, Any]) -> T:
        for source in sources:
            target.update(source)
        return target


class Date:
    """A moment: ``Date.now()``, or ``Date.new(milliseconds)``, by default the present. UTC only."""

    def __init__(self, milliseconds: float | None = None) -> None:
        self._time = Date.now() if milliseconds is None else int(milliseconds)

    @classmethod
    def new(cls, milliseconds: float | None = None) -> Date:
        return cls(milliseconds)

    @staticmethod
    def now() -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def getTime(self) -> int:
        return self._time

    def toISOString(self) -> str:
        moment = datetime.fromtimestamp(self._time // 1000, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{self._time % 1000:03d}Z"


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    if (found := ambient.find(name)) is not None:
        return found
    if (found := _later.find(name)) is not None:
        return found
    known = ", ".join((*__all__, *_later.NAMES))
    raise AttributeError(f"js.{name} is not here: there is no JavaScript; js has: {known}")
