"""What a binding, a stream or the network is asked for is a promise there: ``env.KV.get("a").then(f)``.

Here it is a coroutine, which costs nothing to those who await it, or asyncio's own future. Python's classes of both
get a promise's methods, as those of Pyodide's futures; what is asked for has begun when the first of them is called.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import types
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from runtime.isolate.calls.begun import begun
from runtime.web.scope import current_ctx

Handler = Callable[[Any], Any]


class PyodideFuture(asyncio.Future[Any]):
    """A future with ``then``, ``catch`` and ``finally_``, each of which gives another."""

    def then(self, onfulfilled: Handler | None = None, onrejected: Handler | None = None) -> PyodideFuture:
        return _then(self, onfulfilled, onrejected)

    def catch(self, onrejected: Handler) -> PyodideFuture:
        return _then(self, None, onrejected)

    def finally_(self, onfinally: Callable[[], Any]) -> PyodideFuture:
        return _finally(self, onfinally)


def begin() -> None:
    """For the whole process."""
    for kind in (types.CoroutineType, asyncio.Future):
        [members] = gc.get_referents(kind.__dict__)  # a class of CPython's own takes no attributes
        members.update({name: vars(PyodideFuture)[name] for name in ("then", "catch", "finally_")})


def _then(
    asked: Awaitable[Any], onfulfilled: Handler | None = None, onrejected: Handler | None = None
) -> PyodideFuture:
    future = asked if asyncio.isfuture(asked) else _begun(asked)
    return _kept(_followed(future, onfulfilled, onrejected))


def _finally(asked: Awaitable[Any], onfinally: Callable[[], Any]) -> PyodideFuture:
    async def over(value: Any = None) -> Any:
        await _called(onfinally)
        if isinstance(value, BaseException):
            raise value
        return value

    return _then(asked, over, over)


def _begun(asked: Awaitable[Any]) -> PyodideFuture:
    """Ahead of whatever the script asks for next."""
    result = PyodideFuture()
    rest = begun(_settle(result, asked))
    if rest is not None:
        _keep(asyncio.ensure_future(rest))
    return result


def _kept(work: Awaitable[Any]) -> PyodideFuture:
    result = PyodideFuture()
    _keep(asyncio.ensure_future(_settle(result, work)))
    return result


def _keep(task: asyncio.Future[Any]) -> None:
    """The event goes on until it is done; what it fails with is told by who waits, or by asyncio."""
    if (ctx := current_ctx.get(None)) is not None:
        ctx.wait_until(asyncio.wait([task]))


async def _settle(result: PyodideFuture, work: Awaitable[Any]) -> None:
    try:
        value = await work
    except asyncio.CancelledError:
        result.cancel()
        raise
    except Exception as error:
        with suppress(asyncio.InvalidStateError):  # nobody waits any more
            result.set_exception(error)
    else:
        with suppress(asyncio.InvalidStateError):
            result.set_result(value)


async def _followed(future: Awaitable[Any], fulfilled: Handler | None, rejected: Handler | None) -> Any:
    try:
        value = await future
    except Exception as error:
        if rejected is None:
            raise
        return await _called(rejected, error)
    return value if fulfilled is None else await _called(fulfilled, value)


async def _called(function: Callable[..., Any], *args: object) -> object:
    done = function(*args)
    return await done if inspect.isawaitable(done) else done


__all__ = ["PyodideFuture", "begin"]
