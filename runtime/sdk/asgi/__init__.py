"""Run an ASGI application, such as FastAPI's or Starlette's, in a worker.

    async def fetch(request, env, ctx):
        return await asgi.fetch(app, request, env, ctx)

Bodies stream both ways, and WebSockets are the application's. ``env`` is in the scope: ``request.scope["env"].AI``. The
application's lifespan begins with the first request of an isolate and ends when its version is retired; an isolate that
is killed tells it nothing.
"""

from __future__ import annotations

from collections.abc import Coroutine
from importlib import import_module
from typing import Any

from workers.gateway import Options  # type: ignore[import-not-found,import-untyped,unused-ignore]

from asgi import _scope  # type: ignore[import-not-found,unused-ignore]  # beside this one, on sys.path
from asgi._exchange import Exchange  # type: ignore[import-not-found,unused-ignore]
from asgi._lifespan import start, started  # type: ignore[import-not-found,unused-ignore]
from asgi._scope import App, Message, Receive, Send  # type: ignore[import-not-found,unused-ignore]
from runtime.web import Request, Response
from runtime.web.scope import current_ctx


async def fetch(
    app: App, request: Request, env: object, ctx: Any = None, *, options: Options | None = None
) -> Response:
    """The application's response to ``request``. What it raises before it answers is raised here.

    Its background tasks go on after the response, under ``ctx.wait_until``. A client that leaves cancels it.
    """
    ctx = current_ctx.get(None) if ctx is None else ctx
    state = started.get(app)
    return await _response(app, request, env, ctx, await start(app, ctx) if state is None else state, options)


def _response(
    app: App, request: Request, env: object, ctx: object, state: dict[str, Any], options: Options | None
) -> Coroutine[Any, Any, Response]:
    scope = _scope.of(request, env, state)
    if scope["type"] == "websocket":
        return _open(app, request, ctx, scope)
    exchange: Coroutine[Any, Any, Response] = Exchange(request, ctx).response(
        app, scope, "manual" if options is None else options.encode_body
    )
    return exchange


async def websocket(app: App, request: Request, env: object, ctx: Any = None) -> Response:
    """The same of a request for a WebSocket: 101, or what the application refuses it with."""
    ctx = current_ctx.get(None) if ctx is None else ctx
    scope = _scope.of(request, env, await start(app, ctx))
    return await _open(app, request, ctx, scope)


async def _open(app: App, request: Request, ctx: Any, scope: dict[str, Any]) -> Response:
    from asgi._socket import Socket  # type: ignore[import-not-found,unused-ignore]  # most applications have none

    response: Response = await Socket(request, ctx).response(app, _scope.of_websocket(scope, request))
    return response


def entrypoint(app: App, *, options: Options | None = None) -> type:
    """``Default = asgi.entrypoint(app)``: a class whose ``fetch`` is the application's."""
    from workers import WorkerEntrypoint  # type: ignore[attr-defined,import-not-found,unused-ignore]

    class Entrypoint(WorkerEntrypoint):  # type: ignore[misc,unused-ignore]
        async def fetch(self, request: Request) -> Response:
            env, ctx, state = self.env, self.ctx, started.get(app)
            return await _response(app, request, env, ctx, await start(app, ctx) if state is None else state, options)

    return Entrypoint


def __getattr__(name: str) -> object:
    """``env``: what an endpoint of FastAPI's takes the bindings by, ``async def root(env=asgi.env)``; or a step."""
    if name != "env":
        return _step(name)
    from fastapi import Depends
    from fastapi import Request as Asked

    async def env(request: Asked) -> object:
        return request.scope["env"]

    env.__annotations__["request"] = Asked  # as a text, it could not be found
    return Depends(env)


def _step(name: str) -> object:
    steps = import_module("asgi._steps")  # which hardly anybody takes
    if name not in steps.__all__:
        raise AttributeError(f"module 'asgi' has no {name!r}; it has: {', '.join([*__all__, 'env', *steps.__all__])}")
    found: object = getattr(steps, name)
    return found


__all__ = ["App", "Message", "Options", "Receive", "Send", "entrypoint", "fetch", "websocket"]
