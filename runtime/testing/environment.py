"""``worker.env``: the bindings of a worker under test, without the worker: to seed them, and to look into them.

    worker.env.KV.put("greeting", "hello")
    assert worker.env.DB.prepare("SELECT count(*) AS n FROM notes").first().n == 1

They are the classes that a worker has; what must be awaited there is waited for here.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pkgutil import resolve_name
from typing import Any

import msgspec

from runtime.web import ReadableStream
from runtime.wire import RemoteError

Ask = Callable[[str, bytes], tuple[int, Mapping[str, str], bytes]]
"""``ask("call", body)``: status, headers and body of the server's answer."""

META = "x-pilot-meta"
_WRAPPED = "bindings."  # whose classes have more to await


class Environment:
    """Bindings by name. Raises AttributeError with the names that there are."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self._known:
            _, _, body = self._ask("bindings", b"")
            self._known = {row[0]: self._made(*row) for row in msgspec.msgpack.decode(body)}
        if name not in self._known:
            raise AttributeError(f"this worker has no binding {name!r}; it has: {', '.join(self._known) or 'none'}")
        return self._known[name]

    __getitem__ = __getattr__

    def _made(self, name: str, client: str, args: Mapping[str, Any]) -> object:
        return _waited(resolve_name(client)(name, _Caller(self._ask, name), **args))


class _Caller:
    """What a worker's half of a binding calls, over HTTP."""

    line = None  # what leads to other workers does not go this way

    def __init__(self, ask: Ask, name: str) -> None:
        self._ask, self._name = ask, name

    async def call(self, method: str, *args: object) -> object:
        """Raises RemoteError, as in a worker."""
        sent = [b"".join([chunk async for chunk in arg]) if isinstance(arg, ReadableStream) else arg for arg in args]
        status, headers, body = self._ask("call", msgspec.msgpack.encode([self._name, method, sent]))
        if META in headers:
            return _Content(body, json.loads(headers[META]))
        answer = msgspec.msgpack.decode(body)
        if status != 200:
            name, message, fields = answer
            raise RemoteError(name, message, fields)
        return answer


class _Content:
    """A stream of the supervisor's that has come whole."""

    def __init__(self, body: bytes, meta: Mapping[str, Any]) -> None:
        self._body, self.meta = body, meta

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._body:
            yield self._body


class _Waited:
    """One of the bindings' objects, whose coroutines are run to their end."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return _waited(getattr(self._target, name))

    def __call__(self, *args: Any, **options: Any) -> Any:
        return _waited(self._target(*map(_bare, args), **options))

    def __repr__(self) -> str:
        return repr(self._target)


def _waited(value: object) -> object:
    if inspect.isawaitable(value):
        return _waited(_run(value))
    ours = type(value).__module__.startswith(_WRAPPED) or inspect.ismethod(value)
    return _Waited(value) if ours else value


def _bare(value: object) -> object:
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value._target if isinstance(value, _Waited) else value


def _run(awaitable: Any) -> Any:
    """In a thread of its own: a test may be a coroutine itself."""

    async def awaited() -> Any:
        return await awaitable

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, awaited()).result()


__all__ = ["Ask", "Environment"]
