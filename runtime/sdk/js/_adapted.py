"""Types of JavaScript's that Python has under other names, with the methods that Python Workers call on them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runtime.values import JsArray, JsDict, JsException, from_wire
from runtime.values.buffers import JsBuffer
from runtime.web import fetch
from runtime.web.globals import pattern, text
from workers import wait_until  # type: ignore[attr-defined,import-not-found,unused-ignore]


class URLPattern(pattern.URLPattern):
    def exec(self, input: str | Mapping[str, str] | None = None, base: str | None = None) -> JsDict | None:
        found: JsDict | None = from_wire(super().exec(input, base))
        return found


class TextEncoder(text.TextEncoder):
    def encode(self, text: str = "") -> JsBuffer:  # type: ignore[override]
        return JsBuffer(super().encode(text))

    def encodeInto(self, source: str, target: JsBuffer) -> JsDict:
        """What fits of ``source``, whole characters; ``{read, written}``."""
        read, written = 0, b""
        for char in source:
            if len(written) + len(coded := super().encode(char)) > len(target):
                break
            read, written = read + 1 + (ord(char) > 0xFFFF), written + coded
        target[: len(written)] = written
        return JsDict(read=read, written=len(written))


class TextDecoder(text.TextDecoder):
    def __init__(self, *args: Any, **options: Any) -> None:
        with _thrown():
            super().__init__(*args, **options)


def atob(data: str) -> str:
    with _thrown():
        return text.atob(data)


def btoa(data: str) -> str:
    with _thrown():
        return text.btoa(data)


@contextmanager
def _thrown() -> Iterator[None]:
    try:
        yield
    except text.InvalidTextError as error:
        raise JsException(error.message, error.name) from None


class Array(JsArray):
    @classmethod
    def new(cls, *items: object) -> JsArray:
        return JsArray([None] * items[0] if len(items) == 1 and isinstance(items[0], int) else items)

    @staticmethod
    def of(*items: object) -> JsArray:
        return JsArray(items)

    @staticmethod
    def from_(items: Iterable[Any], change: Callable[[Any], Any] | None = None) -> JsArray:
        """``Array.from``, whose name Python keeps for itself; ``getattr(Array, "from")`` is this, too."""
        return JsArray(items if change is None else map(change, items))

    locals()["from"] = from_

    @staticmethod
    def isArray(value: object) -> bool:
        return isinstance(value, list)


def replaced(value: object, replacer: Callable[..., object] | list[str], key: str = "") -> object:
    """What ``JSON.stringify`` writes of ``value``: what ``replacer(key, value)`` makes of each, None leaving it out; or
    of objects the members that it lists."""
    if callable(replacer):
        value = replacer(key, value)
    if isinstance(value, Mapping):
        wanted = value if callable(replacer) else [name for name in replacer if name in value]
        members = {name: replaced(value[name], replacer, name) for name in wanted}
        return {name: item for name, item in members.items() if item is not None or not callable(replacer)}
    if isinstance(value, list):
        return [replaced(item, replacer, str(index)) for index, item in enumerate(value)]
    return value


class Promise:
    """Awaitables. ``all`` and its like begin what they are given at once."""

    @staticmethod
    def new(executor: Callable[[Callable[[Any], None], Callable[[Any], None]], Any]) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def resolve(value: object = None) -> None:
            if not future.done():
                future.set_result(value)

        def reject(reason: object = None) -> None:
            if not future.done():
                future.set_exception(reason if isinstance(reason, Exception) else JsException(str(reason)))

        executor(resolve, reject)
        return future

    @staticmethod
    async def resolve(value: object = None) -> Any:
        return await value if isinstance(value, Awaitable) else value

    @staticmethod
    async def reject(reason: object = None) -> Any:
        raise reason if isinstance(reason, BaseException) else JsException(str(reason))

    @staticmethod
    async def all(values: Iterable[Any]) -> list[Any]:
        return list(await asyncio.gather(*map(Promise.resolve, values)))

    @staticmethod
    async def allSettled(values: Iterable[Any]) -> list[JsDict]:
        done = await asyncio.gather(*map(Promise.resolve, values), return_exceptions=True)
        return [_settled(one) for one in done]

    @staticmethod
    async def any(values: Iterable[Any]) -> object:
        """The first that does not fail."""
        pending = [asyncio.ensure_future(Promise.resolve(value)) for value in values]
        error = AggregateError([], "All promises were rejected")
        for done in asyncio.as_completed(pending):
            try:
                return await done
            except Exception as failed:
                error.__context__ = failed
                error.errors.append(failed)
        raise error

    @staticmethod
    def withResolvers() -> JsDict:
        made = JsDict()
        made["promise"] = Promise.new(lambda resolve, reject: made.update(resolve=resolve, reject=reject))
        return made

    @staticmethod
    async def try_(work: Callable[..., Any], *args: object) -> Any:
        """What ``work(*args)`` gives, or raises, awaited; ``getattr(Promise, "try")`` is this, too."""
        return await Promise.resolve(work(*args))

    locals()["try"] = try_

    @staticmethod
    async def race(values: Iterable[Any]) -> Any:
        done, others = await asyncio.wait(
            [asyncio.ensure_future(Promise.resolve(value)) for value in values], return_when=asyncio.FIRST_COMPLETED
        )
        for other in others:
            other.cancel()
        return done.pop().result()


class _ErrorMaker:
    """``Error.new("text", cause=error)``: an exception that can be raised, and sent."""

    stackTraceLimit = 10  # anything may be set

    def __init__(self, name: str) -> None:
        self._name = name

    def new(self, message: str = "", options: Mapping[str, object] | None = None, **more: object) -> JsException:
        given = {**(options or {}), **more}
        cause = {"cause": given["cause"]} if "cause" in given else {}
        return JsException(str(message), self._name, "", **cause)

    __call__ = new

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, JsException) and (self._name in ("Error", value.name))


Error, TypeError, RangeError, SyntaxError, EvalError, ReferenceError, URIError = map(
    _ErrorMaker, ("Error", "TypeError", "RangeError", "SyntaxError", "EvalError", "ReferenceError", "URIError")
)


class AggregateError(JsException):
    """``errors``: those that it stands for."""

    def __init__(self, errors: Iterable[object] = (), message: str = "") -> None:
        super().__init__(message, "AggregateError")
        self.errors = JsArray(errors)

    @classmethod
    def new(cls, errors: Iterable[object] = (), message: str = "") -> AggregateError:
        return cls(errors, message)


class navigator:
    userAgent = "Cloudflare-Workers"
    language, languages = "en", JsArray(["en"])
    hardwareConcurrency = 1

    @staticmethod
    def sendBeacon(url: object, body: object = None) -> bool:
        """Sends it while the event goes on, or under its ``waitUntil``."""
        wait_until(fetch(url, method="POST", body=body))
        return True


class DOMException(JsException):
    def __init__(self, message: str = "", name: str | Mapping[str, str] = "Error") -> None:
        super().__init__(str(message), name if isinstance(name, str) else name.get("name", "Error"))

    @classmethod
    def new(cls, message: str = "", name: str | Mapping[str, str] = "Error") -> DOMException:
        return cls(message, name)


_NOTHING = object()


def _settled(done: object) -> JsDict:
    failed = isinstance(done, BaseException)
    return JsDict(status="rejected", reason=done) if failed else JsDict(status="fulfilled", value=done)
