"""The steps of ``fetch`` by the names that the SDK's module has for them, for who takes one alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workers.gateway import Options  # type: ignore[import-not-found,import-untyped,unused-ignore]

from asgi import _scope, websocket  # type: ignore[import-not-found,unused-ignore]
from asgi._exchange import Exchange  # type: ignore[import-not-found,unused-ignore]
from asgi._lifespan import Lifespan  # type: ignore[import-not-found,unused-ignore]
from asgi._scope import ASGI_VERSION as ASGI  # type: ignore[import-not-found,unused-ignore]
from runtime.values import JsBuffer
from runtime.web import Request, Response
from runtime.web.response import NULL_BODY_STATUSES
from runtime.web.scope import current_ctx

if TYPE_CHECKING:
    from runtime.web.globals.piping import WritableStreamDefaultWriter

logger = logging.getLogger("asgi")
background_tasks: set[asyncio.Future[object]] = set()
DEFAULT_OPTIONS = Options()


def run_in_background(work: Awaitable[object]) -> asyncio.Future[object]:
    """A task of it, whose failure is logged."""
    task = asyncio.ensure_future(work)
    background_tasks.add(task)
    task.add_done_callback(_over)
    return task


def _over(task: asyncio.Future[object]) -> None:
    background_tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("a background task failed", exc_info=error)


async def close_stream_quietly(writer: WritableStreamDefaultWriter) -> None:
    """Whatever it fails with is logged at level debug."""
    try:
        await writer.close()
    except Exception:
        logger.debug("a stream could not be closed", exc_info=True)


@contextmanager
def acquire_js_buffer(pybuffer: bytes) -> Iterator[JsBuffer]:
    """Its bytes as a Uint8Array."""
    yield JsBuffer(pybuffer)


def request_to_scope(
    req: Request, env: object, ws: bool = False, state: Mapping[str, object] | None = None
) -> dict[str, object]:
    """What an application is told of a request, or of one for a WebSocket."""
    scope: dict[str, object] = {**_scope.of(req, env, state or {}), "type": "http"}
    return _scope.of_websocket(scope, req) if ws else scope


async def start_application(app: _scope.App) -> tuple[Callable[[], Awaitable[None]], dict[str, object]]:
    """(what ends the lifespan, its state), of a lifespan begun now. Raises what the application does without."""
    lifespan = Lifespan()
    state = await lifespan.start(app, None)
    return lifespan.stop, state


async def process_request(
    app: _scope.App,
    req: Request,
    env: object,
    ctx: object = None,
    state: Mapping[str, object] | None = None,
    options: Options | None = None,
) -> tuple[Response, asyncio.Task[None]]:
    """The application's response, and the task that it runs in."""
    exchange = Exchange(req, current_ctx.get(None) if ctx is None else ctx)
    encode_body = "manual" if options is None else options.encode_body
    response = await exchange.response(app, request_to_scope(req, env, state=state), encode_body)
    return response, exchange.task


async def process_websocket(app: _scope.App, req: Request, env: object = None) -> Response:
    """101, or what the application refuses it with."""
    response: Response = await websocket(app, req, {} if env is None else env)
    return response


__all__ = [
    "ASGI", "DEFAULT_OPTIONS", "NULL_BODY_STATUSES", "acquire_js_buffer", "background_tasks", "close_stream_quietly",
    "logger", "process_request", "process_websocket", "request_to_scope", "run_in_background", "start_application",
]  # fmt: skip
