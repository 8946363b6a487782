"""The JavaScript globals that Python Workers use, made of Python: ``from js import Response, console``.

The classes are those of ``workers``, with Pyodide's ``Response.new(...)`` for ``new Response(...)``. Anything else of
JavaScript is not here: importing it says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Self

from js import _later  # type: ignore[import-not-found,attr-defined,unused-ignore]  # beside this one, on sys.path
from js._console import console  # type: ignore[import-not-found,attr-defined,unused-ignore]
from js._object import Object  # type: ignore[import-not-found,attr-defined,unused-ignore]
from runtime import web
from runtime.isolate import ambient
from runtime.isolate.script.raw import RawFormData, RawHeaders
from runtime.values import JsArray, JsDict, JsException, JsNull, Named, from_json, jsnull, nulls
from runtime.values.pairs import Paired
from runtime.web.sockets import WebSocket, WebSocketPair, WebSocketRequestResponsePair

__all__ = [
    "JSON", "URL", "AbortController", "AbortSignal", "Blob", "File", "FormData", "Headers", "Object",
    "ReadableStream", "Request", "Response", "URLSearchParams", "WebSocket", "WebSocketPair",
    "WebSocketRequestResponsePair", "console", "fetch",
]  # fmt: skip


class _New(Named):
    """``Class.new(...)``, which is how Pyodide spells ``new Class(...)``."""

    __slots__ = ()

    @classmethod
    def new(cls, *args: Any, **options: Any) -> Self:
        try:
            return cls(*(None if arg is jsnull else arg for arg in args), **options)
        except (TypeError, ValueError) as error:
            raise _thrown(error) from None


class Headers(RawHeaders, _New):
    __slots__ = ()


class URLSearchParams(Paired, web.URLSearchParams, _New): ...


class FormData(RawFormData, _New): ...


class _Parsed:
    """A body whose JSON comes as proxies, and its form and the headers beside it in pairs."""

    __slots__ = ()

    @property
    def headers(self) -> web.Headers:
        found: web.Headers = super().headers  # type: ignore[misc]
        found.__class__ = Headers
        return found

    async def blob(self) -> web.Blob:
        return Blob(await super().blob())  # type: ignore[misc]

    async def formData(self) -> web.FormData:
        return FormData(await super().form_data())  # type: ignore[misc]

    form_data = formData

    async def _json(self, **options: Any) -> Any:
        text: str = await self.text()  # type: ignore[attr-defined]
        return json.loads(text, **options) if options else JSON.parse(text)


class _ResponseJson:
    """``Response.json(data)`` makes one, ``response.json()`` reads one."""

    def __get__(self, response: Response | None, owner: type[Response]) -> Callable[..., Any]:
        return owner.from_json if response is None else response._json


class Response(_Parsed, web.Response, _New):
    """``new`` of a number or an object is the text that JavaScript makes of it."""

    __slots__ = ()
    json = _ResponseJson()

    @classmethod
    def new(cls, body: object = None, *args: object, **options: object) -> Self:
        return super().new(_text(body) if isinstance(body, (int, float, dict, list, tuple)) else body, *args, **options)


class Request(_Parsed, web.Request, _New):
    __slots__ = ()
    json = _Parsed._json

    @property
    def cf(self) -> object:
        found: object = super().cf
        return JsDict(found) if type(found) is dict else found


class URL(web.URL, _New):
    __slots__ = ()
    params_type = URLSearchParams


class Blob(web.Blob, _New):
    __slots__ = ()


WebSocket.blob = Blob  # so that it is one for whoever asks this module


class File(web.File, _New):
    __slots__ = ()


class AbortController(web.AbortController, _New):
    __slots__ = ()

    def abort(self, reason: object = None) -> None:
        super().abort(_AbortError() if reason is None else reason)


class _AbortError(JsException, web.AbortError):
    def __init__(self) -> None:
        super().__init__("The operation was aborted", "AbortError")


class _TypeError(JsException, TypeError): ...


class _RangeError(JsException, ValueError): ...


def _thrown(error: TypeError | ValueError) -> JsException:
    """What JavaScript throws of it, which Python's ``except`` catches by the old name, too."""
    if isinstance(error, JsException):
        return error
    is_type = isinstance(error, TypeError)
    return (_TypeError if is_type else _RangeError)(str(error), "TypeError" if is_type else "RangeError")


class _TimeoutError(JsException, TimeoutError):
    def __init__(self) -> None:
        super().__init__("The operation was aborted due to timeout", "TimeoutError")


for _kind in (_AbortError, _TypeError, _RangeError, _TimeoutError):
    _kind.__name__ = _kind.__qualname__ = "JsException"


class AbortSignal(web.AbortSignal):
    """Its errors are JavaScript's."""

    __slots__ = ()

    @staticmethod
    def abort(reason: object = None) -> web.AbortSignal:
        return web.AbortSignal.abort(_AbortError() if reason is None else reason)

    @staticmethod
    def timeout(milliseconds: float, reason: TimeoutError | None = None) -> web.AbortSignal:
        return web.AbortSignal.timeout(milliseconds, reason or _TimeoutError())


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


async def fetch(resource: object, init: Mapping[str, Any] | None = None, **options: Any) -> Response:
    """``workers.fetch``; what the answer's ``json()`` gives are proxies, and what it fails with is JavaScript's."""
    try:
        answer = await web.fetch(resource, init, **options)
    except TypeError as error:
        raise _TypeError(str(error), "TypeError") from error
    if type(answer) is web.Response:
        answer.__class__ = Response
    return answer  # type: ignore[return-value]


class JSON:
    @staticmethod
    def stringify(value: object, replacer: object = None, space: int | str | None = None) -> str:
        """JSON as JavaScript writes it; None, too, is null. ``replacer``: a function of (key, value), or the keys
        that are wanted."""
        if replacer is not None:
            from js._adapted import replaced  # type: ignore[import-not-found,unused-ignore]

            value = replaced(value, replacer)
        separators = (",", ":") if space is None else (",", ": ")
        text = json.dumps(_numbers(value), ensure_ascii=False, separators=separators, indent=space, default=_jsonable)
        return text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is escaped

    @staticmethod
    def parse(text: str, reviver: Callable[[str, Any], object] | None = None) -> Any:
        """Raises JsException, a SyntaxError. null is ``jsnull``. ``reviver``: a function of (key, value)."""
        parsed = _with_null(from_json(text.encode("utf-8", "surrogatepass")))
        return parsed if reviver is None else _revived(parsed, reviver)


undefined = None
nulls.write()


def _revived(value: object, reviver: Callable[[str, Any], object], key: str = "") -> object:
    """Made anew from the inside out; None leaves a member out."""
    if isinstance(value, dict):
        found = {name: _revived(item, reviver, name) for name, item in dict.items(value)}
        value = JsDict({name: item for name, item in found.items() if item is not None})
    elif isinstance(value, list):
        value = JsArray(_revived(item, reviver, str(index)) for index, item in enumerate(value))
    return reviver(key, value)


def _text(value: object) -> str:
    from js._language import String  # type: ignore[import-not-found,unused-ignore]

    ours = isinstance(value, (int, float, JsDict, JsArray))
    text: str = String(value) if ours else str(value)  # of a dict of Python's, as Pyodide shows it
    return text


def _numbers(value: object) -> object:
    """As JavaScript writes them: 1.0 is 1, and NaN is null."""
    if type(value) is float:
        return None if value != value or value in (inf, -inf) else int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _numbers(item) for name, item in dict.items(value)}
    return [_numbers(item) for item in value] if isinstance(value, list | tuple) else value


def _jsonable(value: object) -> object:
    if isinstance(value, JsNull):
        return None
    if (of_its_own := getattr(value, "toJSON", None)) is not None:
        return of_its_own()
    return {}


def _with_null(value: object) -> object:
    """As JavaScript's parser has it, and Pyodide's proxies show it."""
    if isinstance(value, dict):
        return JsDict({key: _with_null(item) for key, item in value.items()})
    if isinstance(value, list):
        return JsArray([_with_null(item) for item in value])
    return jsnull if value is None else value


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(name)
    if (found := ambient.find(name)) is not None:
        return found
    if (found := _later.find(name)) is not None:
        return found
    raise AttributeError(f"js.{name} is not here: there is no JavaScript. docs/compatibility.md lists what js has")
