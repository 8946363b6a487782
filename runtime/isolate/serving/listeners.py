"""The listeners of sockets: how they are called, and within which limits."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from runtime.isolate.script.errors import report
from runtime.isolate.serving.worker import Worker
from runtime.web.scope import current_ctx
from runtime.web.sockets import Event, WebSocket

_FAILED = 1011


class SocketEvents:
    """Calls the listeners of sockets, each message's within the limits of a request."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __call__(
        self, context: contextvars.Context, listeners: Sequence[Callable[[Any], Any]], event: Event,
        done: Callable[[], None],
    ) -> None:  # fmt: skip
        ctx = context.get(current_ctx)
        if self._worker.cpu_ms is not None and ctx is not None:
            task = context.copy().run(ctx.follow, self._metered(listeners, event), _what(event))
            task.add_done_callback(lambda _: done())
            return
        running = [task for listener in listeners if (task := _begun(context, ctx, listener, event)) is not None]
        if not running:
            return done()
        for task in running:
            task.add_done_callback(lambda _: done() if all(one.done() for one in running) else None)

    async def _metered(self, listeners: Sequence[Callable[[Any], Any]], event: Event) -> None:
        try:
            await self._worker.metered(_called(listeners, event))
        except BaseException:
            if isinstance(event.target, WebSocket) and event.target.readyState == WebSocket.OPEN:
                event.target.close(_FAILED, "the worker failed")
            raise


async def _called(listeners: Sequence[Callable[[Any], Any]], event: Event) -> None:
    results = []
    for listener in listeners:
        try:
            results.append(listener(event))
        except Exception as error:
            report(_what(event), error)
    for result in results:
        if inspect.isawaitable(result):
            try:
                await result
            except Exception as error:
                report(_what(event), error)


def _begun(
    context: contextvars.Context, ctx: Any, listener: Callable[[Any], Any], event: Event
) -> asyncio.Future[Any] | None:
    """What goes on of it."""
    try:
        result: Awaitable[Any] | None = context.run(listener, event)
    except BaseException as error:
        report(_what(event), error)
        return None
    if result is None or not inspect.isawaitable(result):
        return None
    if ctx is None:
        return context.run(asyncio.ensure_future, result)
    task: asyncio.Future[Any] = context.run(ctx.follow, result, _what(event))
    return task


def _what(event: Event) -> str:
    return f"a listener of a WebSocket's {event.type} event failed"


__all__ = ["SocketEvents"]
