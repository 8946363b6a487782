"""Run a WSGI application, such as Flask's or Django's, in a worker. PEP 3333.

    async def fetch(request, env, ctx):
        return await wsgi.fetch(app, request, env, ctx)

It runs in a thread, so it may block. Its answer streams as it is made, its ``wsgi.input`` as it comes: an upload of any
size takes constant memory. ``environ["workers.env"]`` has the bindings; ``run_sync`` of ``pyodide.ffi`` waits for them.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from workers.gateway import Options  # type: ignore[import-not-found,import-untyped,unused-ignore]

from runtime.isolate.script.handlers import in_thread
from runtime.web import URL, Headers, ReadableStream, Request, Response
from runtime.web.response import NULL_BODY_STATUSES
from runtime.web.scope import current_ctx, current_root

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

DEFAULT_OPTIONS = Options()
_READ_TIMEOUT_S = 600.0  # for one piece of an upload


async def fetch(
    app: App, request: Request, env: object, ctx: Any = None, *, options: Options | None = None
) -> Response:
    """The application's response to ``request``. What it raises before it answers is raised here."""
    environ = _environ(request, env, current_ctx.get(None) if ctx is None else ctx, _upload(request))
    call = _Call(app, environ)
    first = await call.begin()
    if call.has_no_body(request):
        await call.end()
    return call.response(request, first, options)


def build_environ(req: Request, env: object, body: bytes | IO[bytes]) -> dict[str, Any]:
    """What an application is told of a request whose body is ``body``, or is read from there."""
    environ = _environ(req, env, current_ctx.get(None), io.BytesIO(body) if isinstance(body, bytes) else body)
    if isinstance(body, bytes) and body:
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
    return environ


def process_request(
    app: App, req: Request, env: object, body: bytes | IO[bytes], options: Options | None = None
) -> Response:
    """The application's response; it is called here and now, not in a thread."""
    call = _Call(app, build_environ(req, env, body))
    first = call.begin_here()
    if call.has_no_body(req):
        call.close()
    return call.response(req, first, options)


def entrypoint(app: App, *, options: Options | None = None) -> type:
    """``Default = wsgi.entrypoint(app)``: a class whose ``fetch`` is the application's."""
    from workers import WorkerEntrypoint  # type: ignore[attr-defined,import-not-found,unused-ignore]

    class Entrypoint(WorkerEntrypoint):  # type: ignore[misc,unused-ignore]
        async def fetch(self, request: Request) -> Response:
            return await fetch(app, request, self.env, self.ctx, options=options)

    return Entrypoint


class _Call:
    """One call of the application: its status and headers, then its body, piece by piece."""

    def __init__(self, app: App, environ: dict[str, Any]) -> None:
        self._app, self._environ = app, environ
        self._context = (
            contextvars.copy_context()
        )  # one for all of its steps: Flask's generators take off what they put on
        self.status, self.reason, self.headers = 0, "", list[tuple[str, str]]()
        self._written: list[bytes] = []
        self._pieces: Iterator[bytes] = iter(())
        self._result: object = None

    async def begin(self) -> bytes | None:
        """Until the headers are there, which may need the first piece. None: there is none."""
        first: bytes | None = await in_thread(self.begin_here, (), self._context)
        return first

    def begin_here(self) -> bytes | None:
        result = self._app(self._environ, self._start)
        self._result, self._pieces = result, iter(result)
        try:
            first = self._next()
            if not self.status:
                raise RuntimeError("the WSGI application did not call start_response")
        except BaseException:
            self.close()
            raise
        return first

    def has_no_body(self, request: Request) -> bool:
        return self.status in NULL_BODY_STATUSES or request.method == "HEAD"

    def response(self, request: Request, first: bytes | None, options: Options | None) -> Response:
        headers = Headers.from_raw([(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers])
        length, body = headers.get("content-length") or "", None
        if not self.has_no_body(request):
            body = ReadableStream(self.body(first), length=int(length) if length.isdigit() else None)
        encode_body = "manual" if options is None else options.encode_body
        return Response(body, status=self.status, status_text=self.reason, headers=headers, encode_body=encode_body)

    async def end(self) -> None:
        await in_thread(self.close, (), self._context)

    async def body(self, first: bytes | None) -> AsyncIterator[bytes]:
        try:
            piece = first
            while piece is not None:
                yield piece
                piece = await in_thread(self._next, (), self._context)
        finally:
            await self.end()

    def _next(self) -> bytes | None:
        """The next piece that is not empty, after what was written by the old ``write``."""
        piece = next((piece for piece in self._pieces if piece), None)
        if self._written:
            written, self._written = b"".join(self._written), []
            return written + (piece or b"")
        return piece

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if self.status and exc_info is None:
            raise AssertionError("start_response was called twice")
        number, _, self.reason = status.partition(" ")
        self.status, self.headers = int(number), list(headers)
        return self._written.append

    def close(self) -> None:
        if (close := getattr(self._result, "close", None)) is not None:
            close()


def _environ(request: Request, env: object, ctx: object, content: IO[bytes]) -> dict[str, Any]:
    url, root = URL(request.url), current_root.get()
    environ: dict[str, Any] = {
        "REQUEST_METHOD": str(request.method),
        "SCRIPT_NAME": _native(root),
        "PATH_INFO": _native(url.pathname),
        "QUERY_STRING": url.search.removeprefix("?"),
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": url.port or ("443" if url.protocol == "https:" else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.headers.get("cf-connecting-ip") or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.protocol.removesuffix(":"),
        "wsgi.input": content,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "workers.env": env,
        "workers.ctx": ctx,
        "workers.request": request,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ


def _native(path: str) -> str:
    """The bytes of a path as characters of those numbers, as PEP 3333 has it."""
    return unquote_to_bytes(path).decode("latin-1")


def _upload(request: Request) -> IO[bytes]:
    return io.BufferedReader(_Upload(request))


class _Upload(io.RawIOBase):
    """The request's body, read in the application's thread."""

    def __init__(self, request: Request) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = request.body
        self._reader: AsyncIterator[bytes] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            future = asyncio.run_coroutine_threadsafe(self._pull(), self._loop)
            self._rest = memoryview(future.result(_READ_TIMEOUT_S))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count

    async def _pull(self) -> bytes:
        """The next chunk that is not empty; an empty one is the end."""
        if self._reader is None:
            self._reader = aiter(self._body if self._body is not None else ReadableStream(b""))
        while (chunk := await anext(self._reader, None)) is not None:
            if chunk:
                return chunk
        return b""


__all__ = [
    "DEFAULT_OPTIONS", "NULL_BODY_STATUSES", "Options", "build_environ", "entrypoint", "fetch", "process_request",
]  # fmt: skip
