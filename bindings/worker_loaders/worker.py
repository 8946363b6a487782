"""``env.LOADER``. Facts: docs/reference/bindings.md#worker-loader.

https://developers.cloudflare.com/dynamic-workers/api-reference/
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from bindings.client import BindingClient, js_exception
from bindings.worker_loaders.shipping import limits_of, shipped
from runtime.isolate.calls.service import Service
from runtime.isolate.gates import until_kept
from runtime.isolate.remote import Caller, current_event
from runtime.isolate.script.entrypoints import DEFAULT
from runtime.values import JsException, to_wire
from runtime.web import Request, Response
from runtime.wire import RemoteError

NO_FACETS = "getDurableObjectClass: a class of a Dynamic Worker needs ctx.facets, which is not served here"


class WorkerLoader(BindingClient):
    product = "WorkerLoader"

    def __init__(self, name: str, caller: Caller) -> None:
        super().__init__(name, caller)
        self._line = caller.line

    def get(self, id: object, callback: Callable[[], Any]) -> WorkerStub:
        """The Dynamic Worker of this id; ``callback()``, or what it awaits, gives its code where it is not there yet.
        None as id: as ``load``. Raises JsException (TypeError)."""
        if not callable(callback):
            raise JsException("get(id, callback): callback is no function", "TypeError")
        key = secrets.token_hex(16) if id is None else f"id {id}"
        return WorkerStub(_Loader(self._line, self._name), key, callback)

    def load(self, code: object) -> WorkerStub:
        """One of its own with this code. Raises JsException: what is wrong with that."""
        sent = shipped(code)
        return WorkerStub(_Loader(self._line, self._name), secrets.token_hex(16), lambda: sent)


class WorkerStub:
    def __init__(self, loader: _Loader, key: str, callback: Callable[[], Any]) -> None:
        self._loader, self._key, self._callback = loader, key, callback

    def getEntrypoint(
        self, name: str | None = None, options: Mapping[str, Any] | None = None, **more: Any
    ) -> DynamicEntrypoint:
        """A class of its: ``props`` are its ``ctx.props``, ``limits`` ``{cpuMs, subRequests}``, of which the lower ones
        count. It is loaded when it is first called."""
        given = {**(options or {}), **more}
        entrypoint = DEFAULT if name in (None, "default") else str(name)
        props = to_wire(dict(given.get("props") or {}))
        loaded = _Loaded(self._loader, self._key, limits_of(given), self._callback)
        return DynamicEntrypoint(loaded, entrypoint, props)

    def getDurableObjectClass(self, *_: object, **options: object) -> NoReturn:
        """Raises JsException."""
        raise JsException(NO_FACETS)


class DynamicEntrypoint(Service):
    """``await entrypoint.fetch(request)``, ``await entrypoint.method(...)``, as of a service binding."""

    def __init__(self, loaded: _Loaded, entrypoint: str, props: object) -> None:
        super().__init__(loaded.loader.line, loaded.loader.binding)
        self._loaded, self._entrypoint, self._props = loaded, entrypoint, props

    async def _call(self, method: str, /, *args: object, **options: object) -> Any:
        await self._ready()
        return await super()._call(method, *args, **options)

    async def _ask(self, request: Request) -> Response:
        await self._ready()
        return await super()._ask(request)

    async def _ready(self) -> None:
        number = await self._loaded.number()
        self._at = self._loaded.loader.binding, [number, self._entrypoint, self._props]

    def _place(self) -> tuple[str, object]:
        what = "an entrypoint of a Dynamic Worker cannot be given to another one"
        raise JsException(f"{what}: give it a class of yours that calls it", "DataCloneError")


class _Loader:
    """The way to the host's half."""

    def __init__(self, line: Any, binding: str) -> None:
        self.line, self.binding = line, binding

    async def ask(self, args: list[Any], services: list[tuple[str, object]]) -> Any:
        """Raises JsException."""
        await until_kept()
        try:
            return await self.line.channel.call("load", current_event.get(), self.binding, args, services)
        except RemoteError as error:
            raise js_exception(error) from None


class _Loaded:
    """One Dynamic Worker, as often as it has to be loaded."""

    def __init__(self, loader: _Loader, key: str, limits: dict[str, int], callback: Callable[[], Any]) -> None:
        self.loader, self._name, self._callback = loader, [key, limits], callback

    async def number(self) -> int:
        """The host's half's, which is kept for one call. Raises JsException, and what the callback raises."""
        number = await self.loader.ask(["find", *self._name], [])
        return int(await self._load() if number is None else number)

    async def _load(self) -> Any:
        code = self._callback()
        if isinstance(code, Awaitable):
            code = await code
        sent, services = code if isinstance(code, tuple) else shipped(code)
        return await self.loader.ask(["open", *self._name, sent], services)


__all__ = ["DynamicEntrypoint", "WorkerLoader", "WorkerStub"]
