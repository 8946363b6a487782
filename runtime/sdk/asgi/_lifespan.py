"""An application's lifespan: begun once in an isolate, ended with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asgi._scope import ASGI_VERSION, App, Message  # type: ignore[import-not-found,unused-ignore]
from runtime.isolate.script.errors import report

_lifespans: dict[App, asyncio.Task[dict[str, Any]]] = {}
started: dict[App, dict[str, Any]] = {}  # by application, the state of what has begun


async def start(app: App, ctx: Any) -> dict[str, Any]:
    """Start the application's lifespan, once; its state."""
    if app not in _lifespans:
        _lifespans[app] = asyncio.create_task(Lifespan().start(app, getattr(ctx, "at_end", None)))
    try:
        state = started[app] = await asyncio.shield(_lifespans[app])
        return state
    except Exception:
        _lifespans.pop(app, None)
        raise


class Lifespan:
    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._startup_sent = False
        self._failed: str | None = None  # in the application's words
        self._started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shutting_down = asyncio.Event()

    async def start(self, app: App, at_end: Callable[[Any], None] | None) -> dict[str, Any]:
        self.task = asyncio.create_task(self._run(app))
        await self._started
        if at_end is not None:
            at_end(self.stop)
        return self.state

    async def stop(self) -> None:
        self._shutting_down.set()
        await self.task

    async def _run(self, app: App) -> None:
        error: Exception | None = None
        try:
            await app({"type": "lifespan", "asgi": ASGI_VERSION, "state": self.state}, self._receive, self._send)
        except Exception as raised:
            error = raised
        if self._started.done():
            if error is not None:
                report("the application's lifespan", error)
        elif self._failed is not None:
            self._started.set_exception(error or RuntimeError(self._failed))
        else:  # as the specification has it: an application that raises here does without a lifespan
            self._started.set_result(None)

    async def _receive(self) -> Message:
        if self._startup_sent:
            await self._shutting_down.wait()
            return {"type": "lifespan.shutdown"}
        self._startup_sent = True
        return {"type": "lifespan.startup"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._failed = message.get("message") or "the ASGI application failed to start"
        elif message["type"] == "lifespan.startup.complete":
            self._started.set_result(None)


__all__ = ["Lifespan", "start", "started"]
