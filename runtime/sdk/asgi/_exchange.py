"""One request and its response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from asgi._scope import App, Message  # type: ignore[import-not-found,unused-ignore]  # beside this one, on sys.path
from runtime.isolate.suspending import is_wanted, suspendable
from runtime.web import URL, Headers, ReadableStream, Request, Response, to_bytes
from runtime.web.response import NULL_BODY_STATUSES

_MAX_CHUNKS_AHEAD = 16  # the application may be ahead of the client


class Exchange:
    """One request and its response: the application's ``receive`` and ``send``; an iterator over the body."""

    _upload: AsyncIterator[bytes] | None = None
    _received = _sent = _left = False
    _whole: bytes | None = None  # the body, where the application had it with the head
    _error: Exception | None = None  # in the head's place
    _chunks: asyncio.Queue[bytes | Exception | None] | None = None
    _disconnected: asyncio.Event | None = None

    def __init__(self, request: Request, ctx: Any) -> None:
        self._request, self._ctx = request, ctx
        self._start: Message = {}
        self._begun: asyncio.Future[None]  # once the head has gone
        self.task: asyncio.Task[None]

    async def response(self, app: App, scope: dict[str, Any], encode_body: str) -> Response:
        """``encode_body``: "manual" where an application that compresses has done so itself."""
        work, loop = self._run(app, scope), asyncio.get_running_loop()  # a system call each time, with Python 3.11
        self._begun = loop.create_future()
        self.task = loop.create_task(suspendable(work) if is_wanted() else work)
        try:
            await self._begun
        except BaseException:
            self.task.cancel()
            raise
        if self._whole is not None:
            self._follow()
        if self._error is not None:
            raise self._error
        return self._response(self._start, encode_body)

    def _response(self, start: Message, encode_body: str) -> Response:
        status, whole = start["status"], self._whole
        headers = [(name.lower(), value) for name, value in start.get("headers", ())]
        known = dict(headers)
        length = known.get(b"content-length", b"")
        if whole is not None and length not in (b"", b"%d" % len(whole)):  # such as of an answer to HEAD
            whole = None
        is_empty = status in NULL_BODY_STATUSES
        if whole is not None and length and len(known) == len(headers) and not is_empty and encode_body == "manual":
            return Response.from_whole(status, headers, whole)
        body = ReadableStream(self, length=int(length) if length.isdigit() else None) if whole is None else whole
        return Response(
            None if is_empty else body, status=status, headers=Headers.from_raw(headers), encode_body=encode_body
        )

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self.receive, self.send)
            if not self._sent:
                raise RuntimeError("the ASGI application sent no whole response")
        except Exception as error:
            if self._sent:
                raise  # Starlette has answered 500 and says why; or a background task has failed
            self._error = None if self._start else error
            self._begin()
            if self._start:
                await self._put(error)

    async def receive(self) -> Message:
        if self._received:
            if not self._left:
                self._disconnected = self._disconnected or asyncio.Event()
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
        if self._left:
            raise OSError("the client has left")
        if message["type"] == "http.response.start":
            self._start = message
            self._begun.get_loop().call_soon(self._begin)
        elif message["type"] == "http.response.body":
            if message.get("more_body") or self._begun.done() or self._chunks is not None:
                return await self._send_chunk(message)
            body = message.get("body") or b""
            self._whole, self._sent = body if type(body) is bytes else to_bytes(body), True
            self._leave()
            self._begun.set_result(None)

    async def _send_chunk(self, message: Message) -> None:
        if message.get("body"):
            await self._put(to_bytes(message["body"]))
        if not message.get("more_body"):
            await self._put(None)
            self._sent = True
            self._follow()

    async def _put(self, chunk: bytes | Exception | None) -> None:
        self._chunks = self._chunks or asyncio.Queue(_MAX_CHUNKS_AHEAD)
        await self._chunks.put(chunk)

    def _begin(self) -> None:
        """The head goes alone once the application lets others run: until then the whole body may follow."""
        if not self._begun.done():
            self._begun.set_result(None)

    def _follow(self) -> None:
        """Its background tasks go on after the answer; what the application raises now is the request's still."""
        task = self.task
        if task.done() and not task.cancelled() and task.exception() is None:
            return  # it is over, as most are once their whole answer is sent
        what, failed = f"{self._request.method} {URL(self._request.url).pathname}", self._start["status"] >= 500
        if (follow := getattr(self._ctx, "follow", None)) is not None:
            follow(task, what if failed else f"{what}, after its answer")
        elif self._ctx is not None:
            self._ctx.wait_until(task)

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        if self._whole is not None:
            raise StopAsyncIteration
        self._chunks = self._chunks or asyncio.Queue(_MAX_CHUNKS_AHEAD)
        chunk = await self._chunks.get()
        if isinstance(chunk, bytes):
            return chunk
        self._chunks.put_nowait(chunk)  # the end stays the end
        raise StopAsyncIteration if chunk is None else chunk

    async def aclose(self) -> None:
        """The client has left, or has everything. An application that is not done with it is cancelled."""
        self._leave()
        if not self._sent:
            self.task.cancel()

    def _leave(self) -> None:
        self._left = True
        if self._disconnected is not None:
            self._disconnected.set()


__all__ = ["Exchange"]
