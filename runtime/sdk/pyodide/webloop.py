"""Pyodide's event loop is asyncio's here; its futures have a promise's methods as well."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


class PyodideFuture(asyncio.Future[Any]):
    """A future with ``then``, ``catch`` and ``finally_``, each of which gives another."""

    def then(
        self, onfulfilled: Callable[[Any], Any] | None = None, onrejected: Callable[[BaseException], Any] | None = None
    ) -> PyodideFuture:
        result = PyodideFuture(loop=self.get_loop())
        task = asyncio.ensure_future(_then(self, onfulfilled, onrejected), loop=self.get_loop())
        task.add_done_callback(lambda done: _settle(result, done))
        return result

    def catch(self, onrejected: Callable[[BaseException], Any]) -> PyodideFuture:
        return self.then(None, onrejected)

    def finally_(self, onfinally: Callable[[], Any]) -> PyodideFuture:
        async def over(value: Any = None) -> Any:
            await _called(onfinally)
            if isinstance(value, BaseException):
                raise value
            return value

        return self.then(over, over)


async def _then(source: Any, fulfilled: Any, rejected: Any) -> Any:
    try:
        value = await source
    except Exception as error:
        if rejected is None:
            raise
        return await _called(rejected, error)
    return value if fulfilled is None else await _called(fulfilled, value)


async def _called(function: Callable[..., Any], *args: object) -> object:
    done = function(*args)
    return await done if inspect.isawaitable(done) else done


def _settle(result: PyodideFuture, done: asyncio.Future[Any]) -> None:
    if result.done():
        return
    if done.cancelled():
        result.cancel()
    elif (error := done.exception()) is not None:
        result.set_exception(error)
    else:
        result.set_result(done.result())


PyodideTask = asyncio.Task
WebLoop = asyncio.AbstractEventLoop
WebLoopPolicy = asyncio.AbstractEventLoopPolicy

__all__ = ["PyodideFuture", "PyodideTask", "WebLoop", "WebLoopPolicy"]
