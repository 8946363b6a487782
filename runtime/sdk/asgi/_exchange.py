"""One request and its response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

from asgi._scope import App, Message  # type: ignore[import-not-found,unused-ignore]  # beside this one, on sys.path
from runtime.isolate.suspending import is_wanted, suspendable
from runtime.web import URL, Headers, ReadableStream, Request, Response, to_bytes
from runtime.web.response import NULL_BODY_STATUSES

_MAX_CHUNKS_AHEAD = 16  # the application may be ahead of the client


class Exchange:
    """One request and its response: the application's ``receive`` and ``send``; an iterator over the body."""

    def __init__(self, request: Request, ctx: Any) -> None:
        self._request, self._ctx = request, ctx
        self._upload: AsyncIterator[bytes] | None = None
        self._received = self._sent = self._failed = self._left = False
        self._whole: bytes | None = None  # the body, where the application had it with the head
        self._start: Message = {}
        self.started: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.task: asyncio.Task[None]

    async def response(self, app: App, scope: dict[str, Any], encode_body: str) -> Response:
        """``encode_body``: "manual" where an application that compresses has done so itself."""
        work = self.run(app, scope)
        self.task = asyncio.create_task(suspendable(work) if is_wanted() else work)
        try:
            start = await self.started
        except BaseException:
            self.task.cancel()
            raise
        if self._whole is not None and not self._is_over():
            self._follow()
        headers = Headers.from_raw(start.get("headers", ()))
        length = headers.get("content-length") or ""
        whole = self._whole
        if whole is not None and length in ("", str(len(whole))):  # else such as of an answer to HEAD
            body: bytes | ReadableStream = whole
        else:
            body = ReadableStream(self, length=int(length) if length.isdigit() else None)
        empty = start["status"] in NULL_BODY_STATUSES
        return Response(None if empty else body, status=start["status"], headers=headers, encode_body=encode_body)

    async def run(self, app: App, scope: dict[str, Any]) -> None:
        error: Exception | None
        try:
            await app(scope, self.receive, self.send)
            error = None if self._sent else RuntimeError("the ASGI application sent no whole response")
        except Exception as raised:
            error = raised
        if error is not None and self._start:
            self._begin(self._start)
        if error is not None and not self.started.done():
            self.started.set_exception(error)
        elif error is not None and not self._sent:
            await self._chunks.put(error)
        elif error is not None:
            raise error  # Starlette has answered 500 and says why; or a background task has failed

    async def receive(self) -> Message:
        if self._received:
            if not self._left:
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
            self._failed = message["status"] >= 500
            asyncio.get_running_loop().call_soon(self._begin, message)
            self._start = message
        elif message["type"] == "http.response.body":
            await self._send_body(message)

    def _begin(self, start: Message) -> None:
        """The head goes alone once the application lets others run: until then the whole body may follow."""
        if not self.started.done():
            self.started.set_result(start)

    async def _send_body(self, message: Message) -> None:
        if not (message.get("more_body", False) or self.started.done()) and "_chunks" not in self.__dict__:
            self._whole = to_bytes(message.get("body") or b"")
            self._sent = True
            self._leave()
            return self.started.set_result(self._start)
        if message.get("body"):
            await self._chunks.put(to_bytes(message["body"]))
        if not message.get("more_body", False):
            await self._chunks.put(None)
            self._sent = True
            self._follow()

    def _is_over(self) -> bool:
        """The application has come to its end, as most have once their whole answer is sent."""
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None

    def _follow(self) -> None:
        """Its background tasks go on after the answer; what the application raises now is the request's still."""
        what = f"{self._request.method} {URL(self._request.url).pathname}"
        if (follow := getattr(self._ctx, "follow", None)) is not None:
            follow(self.task, what if self._failed else f"{what}, after its answer")
        elif self._ctx is not None:
            self._ctx.wait_until(self.task)

    def __aiter__(self) -> Exchange:
        return self

    async def __anext__(self) -> bytes:
        if self._whole is not None:
            raise StopAsyncIteration
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

    @cached_property
    def _chunks(self) -> asyncio.Queue[bytes | Exception | None]:
        return asyncio.Queue(_MAX_CHUNKS_AHEAD)

    @cached_property
    def _disconnected(self) -> asyncio.Event:
        return asyncio.Event()

    def _leave(self) -> None:
        self._left = True
        if "_disconnected" in self.__dict__:
            self._disconnected.set()


__all__ = ["Exchange"]
