"""Run an ASGI application, such as FastAPI's or Starlette's, in a worker.

    async def fetch(request, env, ctx):
        return await asgi.fetch(app, request, env, ctx)

Bodies stream both ways. ``env`` is in the scope: ``request.scope["env"].AI``. The application's lifespan begins with
the first request of an isolate and ends when its version is retired; an isolate that is killed tells it nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from runtime.isolate.script.errors import report
from runtime.web import URL, Headers, ReadableStream, Request, Response, to_bytes
from runtime.web.response import NULL_BODY_STATUSES
from runtime.web.scope import current_ctx, current_root

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_MAX_CHUNKS_AHEAD = 16  # the application may be ahead of the client
_ASGI_VERSION = {"version": "3.0", "spec_version": "2.4"}
_lifespans: dict[App, asyncio.Task[dict[str, Any]]] = {}


async def fetch(app: App, request: Request, env: object, ctx: Any = None) -> Response:
    """The application's response to ``request``. What it raises before it answers is raised here.

    Its background tasks go on after the response, under ``ctx.wait_until``. A client that leaves cancels it.
    """
    ctx = current_ctx.get(None) if ctx is None else ctx
    state = await _start(app, ctx)
    exchange = _Exchange(request, ctx)
    exchange.task = asyncio.create_task(exchange.run(app, {**_scope(request, env), "state": dict(state)}))
    try:
        start = await exchange.started
    except BaseException:
        exchange.task.cancel()
        raise
    return _response(start, exchange)


def entrypoint(app: App) -> type:
    """``Default = asgi.entrypoint(app)``: a class whose ``fetch`` is the application's."""
    from workers import WorkerEntrypoint  # type: ignore[attr-defined,import-not-found,unused-ignore]

    class Entrypoint(WorkerEntrypoint):  # type: ignore[misc,unused-ignore]
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx)

    return Entrypoint


async def websocket(*args: object) -> Response:
    """WebSockets are not supported here."""
    raise NotImplementedError("asgi.websocket: WebSockets are not supported here")


def _scope(request: Request, env: object) -> dict[str, Any]:
    url, root = URL(request.url), current_root.get()
    secure = url.protocol == "https:"
    return {
        "type": "http",
        "asgi": _ASGI_VERSION,
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https" if secure else "http",
        "path": unquote(root + url.pathname),
        "raw_path": (root + url.pathname).encode(),
        "query_string": url.search.removeprefix("?").encode(),
        "root_path": root,
        "headers": request.headers.raw(),
        "server": (url.hostname, int(url.port or (443 if secure else 80))),
        "client": _client(request),
        "env": env,
    }


def _client(request: Request) -> tuple[str, int] | None:
    address = request.headers.get("cf-connecting-ip")
    return None if address is None else (address, 0)


def _response(start: Message, exchange: _Exchange) -> Response:
    """With the headers as they are: an application that compresses has done so itself."""
    headers = Headers.from_raw(start.get("headers", ()))
    status = start["status"]
    length = headers.get("content-length") or ""
    body = ReadableStream(exchange, length=int(length) if length.isdigit() else None)
    empty = status in NULL_BODY_STATUSES
    return Response(None if empty else body, status=status, headers=headers, encode_body="manual")


class _Exchange:
    """One request and its response: the application's ``receive`` and ``send``; an iterator over the body."""

    def __init__(self, request: Request, ctx: Any) -> None:
        self._request, self._ctx = request, ctx
        self._upload: AsyncIterator[bytes] | None = None
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(_MAX_CHUNKS_AHEAD)
        self._disconnected = asyncio.Event()
        self._received = self._sent = self._failed = False
        self.started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None]

    async def run(self, app: App, scope: dict[str, Any]) -> None:
        error: Exception | None
        try:
            await app(scope, self.receive, self.send)
            error = None if self._sent else RuntimeError("the ASGI application sent no whole response")
        except Exception as raised:
            error = raised
        if error is not None and not self.started.done():
            self.started.set_exception(error)
        elif error is not None and not self._sent:
            await self._chunks.put(error)
        elif error is not None:
            raise error  # Starlette has answered 500 and says why; or a background task has failed

    async def receive(self) -> Message:
        if self._received:
            await self._disconnected.wait()
            return {"type": "http.disconnect"}
        chunk = await self._read()
        self._received = chunk is None
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    async def _read(self) -> bytes | None:
        if self._upload is None:
            body = self._request.body
            self._upload = aiter(body if body is not None else ReadableStream(b""))
        return await anext(self._upload, None)

    async def send(self, message: Message) -> None:
        if self._disconnected.is_set():
            raise OSError("the client has left")
        if message["type"] == "http.response.start":
            self._failed = message["status"] >= 500
            self.started.set_result(message)
        elif message["type"] == "http.response.body":
            await self._send_body(message)

    async def _send_body(self, message: Message) -> None:
        if message.get("body"):
            await self._chunks.put(to_bytes(message["body"]))
        if not message.get("more_body", False):
            await self._chunks.put(None)
            self._sent = True
            self._follow()

    def _follow(self) -> None:
        """Its background tasks go on after the answer; what the application raises now is the request's still."""
        what = f"{self._request.method} {URL(self._request.url).pathname}"
        if (follow := getattr(self._ctx, "follow", None)) is not None:
            follow(self.task, what if self._failed else f"{what}, after its answer")
        elif self._ctx is not None:
            self._ctx.wait_until(self.task)

    def __aiter__(self) -> _Exchange:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._chunks.get()
        if isinstance(chunk, bytes):
            return chunk
        self._chunks.put_nowait(chunk)  # the end stays the end
        raise StopAsyncIteration if chunk is None else chunk

    async def aclose(self) -> None:
        """The client has left, or has everything. An application that is not done with it is cancelled."""
        self._disconnected.set()
        if not self._sent:
            self.task.cancel()


async def _start(app: App, ctx: Any) -> dict[str, Any]:
    """Start the application's lifespan, once; its state."""
    if app not in _lifespans:
        _lifespans[app] = asyncio.create_task(_Lifespan().start(app, getattr(ctx, "at_end", None)))
    try:
        return await asyncio.shield(_lifespans[app])
    except Exception:
        _lifespans.pop(app, None)
        raise


class _Lifespan:
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
            await app({"type": "lifespan", "asgi": _ASGI_VERSION, "state": self.state}, self._receive, self._send)
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
