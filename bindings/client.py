"""What the worker's half of a binding is made of. It runs in the isolate, and imports nothing of the supervisor's.

A subclass writes each method of upstream's in camelCase and hands its arguments on:

    async def get(self, *args: object, **options: object) -> Any:
        return from_wire(await self._call("get", args, options))

Keyword arguments become one trailing object; what the host's half refuses (``CallError``) is raised as a
``JsException``; a stream among the arguments goes over as one, from disk to disk if it is a body of the supervisor's.
Facts: docs/reference/bindings.md#conversions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from runtime.values import JsException, to_wire
from runtime.web import ReadableStream
from runtime.wire import RemoteError


class HostCaller(Protocol):
    """The way to the host's half: ``runtime.isolate.remote.Caller``."""

    def call(self, method: str, *args: object) -> Awaitable[Any]: ...


class BindingClient:
    """``env.NAME``. ``product`` is what upstream calls its class, for messages."""

    product: ClassVar[str] = "Binding"

    def __init__(self, name: str, caller: HostCaller) -> None:
        self._name, self._caller = name, caller

    async def _call(self, method: str, args: Sequence[object], options: Mapping[str, object] | None = None) -> Any:
        """What the host's half answers, as it lies on the wire. Raises JsException, and TypeError for what cannot be
        sent."""
        try:
            return await self._caller.call(method, *outgoing(args, options))
        except RemoteError as error:
            raise js_exception(error) from None

    if not TYPE_CHECKING:  # type checkers know what is missing

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("__"):  # what copy, pickle and others look for
                raise AttributeError(name)
            raise AttributeError(self._missing(name), name=name, obj=self)

    def _missing(self, name: str) -> str:
        own = sorted(word for word in dir(type(self)) if not word.startswith("_") and word != "product")
        head = f"env.{self._name} ({self.product}) has no {name!r}"
        if (camel := camel_case(name)) in own:
            return f"{head}; it is {camel}, as in JavaScript"
        return f"{head}; it has: {', '.join(own)}"

    def __repr__(self) -> str:
        return f"<{self.product} {self._name}>"


def outgoing(args: Sequence[object], options: Mapping[str, object] | None = None) -> list[Any]:
    """Arguments as they are sent. A stream stays one."""
    sent = [arg if isinstance(arg, ReadableStream) else to_wire(arg) for arg in args]
    return [*sent, to_wire(dict(options))] if options else sent


def options_of(args: Sequence[object], keywords: Mapping[str, object], place: str, kind: str) -> dict[str, Any]:
    """A call's options: its last argument, ``args[0]`` if there is one, or its keywords. Raises JsException, a
    TypeError which says that the ``place``, ``'put' on 'KvNamespace': parameter 3``, has no ``kind``."""
    given = args[0] if args else keywords
    if given is None or isinstance(given, list):
        return {}
    if not isinstance(given, Mapping):
        raise JsException(f"Failed to execute {place} is not of type '{kind}'.", "TypeError")
    return dict(given)


def js_exception(error: RemoteError) -> JsException:
    """A ``CallError`` of the host's half, as the worker catches it."""
    return JsException(error.message, error.name, **error.fields)


def camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


__all__ = ["BindingClient", "HostCaller", "camel_case", "js_exception", "options_of", "outgoing"]
