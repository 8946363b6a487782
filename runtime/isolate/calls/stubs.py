"""Objects of other workers: ``await stub(4)`` of a function, ``await stub.hi("bob")`` of an ``RpcTarget``.

A stub is good until the event that got it is over, with its ``waitUntil`` tasks; until it is garbage; or until
``stub.dispose()``. Whoever owns the object then forgets it.
https://developers.cloudflare.com/workers/runtime-apis/rpc/lifecycle/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from runtime.isolate.calls.loans import DISPOSED
from runtime.values import JsException
from runtime.web.scope import current_ctx


class RpcTarget:
    """Base of a class whose instances cross by reference: others call its public methods, where it is."""


class Borrower(Protocol):
    """``runtime.isolate.calls.line.Line``."""

    def invoke(
        self, number: int, method: str, args: Sequence[object], options: Mapping[str, object]
    ) -> Awaitable[Any]: ...

    def give_back(self, number: int) -> None:
        """From any thread."""


class Held:
    """One number of the supervisor's, until it is given back."""

    __slots__ = ("__weakref__", "_line", "_number")

    def __init__(self, line: Borrower, number: int) -> None:
        self._line: Borrower | None = line
        self._number = number

    def number(self) -> int:
        """Raises JsException: it is held no more."""
        if self._line is None:
            raise JsException(DISPOSED)
        return self._number

    def release(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.give_back(self._number)

    def __del__(self) -> None:
        self.release()


class RpcStub:
    """Reading any attribute gives a method to call: whether there is such a one, its owner says then."""

    __slots__ = ("__weakref__", "_held", "_invoke")

    def __init__(self, line: Borrower, number: int) -> None:
        self._held, self._invoke = Held(line, number), line.invoke
        if (ctx := current_ctx.get(None)) is not None:
            ctx.holds(self._held)

    def __call__(self, *args: object, **options: object) -> Awaitable[Any]:
        return self._call("", *args, **options)

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("__"):  # what copy, pickle and others look for
            raise AttributeError(name)
        return partial(self._call, name)

    async def _call(self, method: str, /, *args: object, **options: object) -> Any:
        return await self._invoke(self._held.number(), method, args, options)

    def dispose(self) -> None:
        """It is wanted no more."""
        self._held.release()

    destroy = dispose  # as Pyodide's proxies have it

    def __repr__(self) -> str:
        return "<RpcStub>"


__all__ = ["Borrower", "Held", "RpcStub", "RpcTarget"]
