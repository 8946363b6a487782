"""One request and its answer, as the supervisor sees them: body in, watch for the client's leaving, body out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from itertools import count
from typing import Any

from bindings.storage.file_body import FileBody
from runtime.errors import RequestError
from runtime.supervisor.http import cycles
from runtime.supervisor.http.asgi import Body, BodyStream, Headers, Receive, Scope, Send
from runtime.supervisor.http.heads import BODYLESS_STATUSES, head, lines_of, within_prefix
from runtime.tracing import NO_SPAN
from runtime.wire import Channel, sink_of

# Bytes of a client's body, of known length, that is waited for, to travel in the frame of its head. A larger one does
# so if it has come with that; else it is a stream, for the worker need not wait until it has come. (``isolate.remote``
# has another limit for what a worker sends: that is whole.)
UPLOAD_INLINE_BYTES = 64 * 1024
_NO_HEADERS: dict[bytes, bytes] = {}
numbers = count(1)  # of requests and events, in all deployments


class Inbound:
    """The body of a request, read from the ASGI server only as fast as someone asks for it."""

    __slots__ = ("_limit", "_receive", "_size", "content", "done", "gone", "length", "over")

    def __init__(self, named: dict[bytes, bytes], receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._size = receive, limit, 0
        self.gone = False  # the client left
        self.over: RequestError | None = None
        self.content: bytes | None = None  # of a small one, once it is read
        self.length = _length(named)
        self.done = self.length == 0
        if self.length is not None and self.length > limit:
            self.over = self._too_large(self.length)
            raise self.over

    @property
    def is_small(self) -> bool:
        """Of known, modest length; not if there is none."""
        return self.length is not None and 0 < self.length <= UPLOAD_INLINE_BYTES

    async def read_small(self) -> None:
        """A small body comes before anything is done for its request: who sends it slowly is in nobody's way."""
        if self.is_small:
            self.content = b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises RequestError (413) past the limit, ConnectionError when the client leaves half-way."""
        while not self.done:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ConnectionError("the client left before its request's body was complete")
            chunk: bytes = message.get("body", b"")
            self._size += len(chunk)
            if self._size > self._limit:
                self.over = self._too_large(self._size)
                raise self.over
            if not message.get("more_body", False):
                self.done = True
            if chunk:
                yield chunk

    def lost(self) -> Exception | None:
        """Why the body could not be read to its end, which is then why the handler failed."""
        return self.over or (ConnectionError("the client left") if self.gone else None)

    def _too_large(self, size: int) -> RequestError:
        return RequestError(
            413, f"the request's body is over the limit of {self._limit} bytes",
            remedy="Raise it in the configuration:  [pilot] body_limit = \"1GB\"",
        )  # fmt: skip


class Exchange:
    """What one request's line in the log says, and whether its client is still there."""

    __slots__ = (
        "_cycle", "_peer", "_send", "_task", "_tell_left", "depth", "first", "inbound", "left", "lent", "method",
        "named", "note", "number", "quiet", "scope", "span", "started", "stats", "status", "subrequests",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self.number = next(numbers)
        self.scope, self._send, self._cycle = scope, send, cycles.cycle_of(send)
        self.method = scope["method"]
        self.named = dict(scope["headers"])  # its headers; of several with one name, the last
        self.inbound = Inbound(self.named, receive, limit)
        self.started = time.perf_counter()
        self.lent: list[int] = []  # streams its worker was given
        self.status = self.subrequests = 0
        self.depth = 0  # a client's request begins what calls lead to
        self.first: float | None = None  # seconds to the first byte of a streamed body
        self.stats: Any = None  # of the model's answer, when there is one
        self.note: str | None = None
        self.left = self.quiet = False  # quiet: no line in the log
        self.span = NO_SPAN  # the innermost one
        self._task: asyncio.Task[Any] | None = None
        self._tell_left: Callable[[], None] | None = None  # where there is no task
        self._peer: Channel | None = None

    @property
    def name(self) -> str:
        """``GET /path``, as the client asked."""
        return f"{self.method} {self.scope['root_path']}{self.scope['path']}"

    def has_whole_body(self) -> bool:
        """Whether all of it has come already: it is ``inbound.content`` then, until ``asked`` is called."""
        inbound = self.inbound
        if inbound.length:
            inbound.content = cycles.whole_body(self._cycle)
            inbound.done = inbound.content is not None
        return inbound.done

    def asked(self) -> None:
        """Its worker has what came with it."""
        if self.inbound.content is not None:
            self.inbound.content = None
            cycles.forget_body(self._cycle)

    def watch(self, peer: Channel | None = None) -> None:
        """From now on, the client's leaving is told to ``peer``, an isolate, and cancels the current task, which closes
        everything behind it."""
        self._peer = peer
        if self._cycle is not None:
            self._task = self._cycle.task
            cycles.on_lost(self._cycle, self._leave)

    def watch_untasked(self, peer: Channel, left: Callable[[], None], shut: Callable[[], None]) -> None:
        """The same where there is no task: ``left()`` is called instead. ``shut()``: the server ends."""
        self._peer, self._tell_left = peer, left
        cycles.on_lost(self._cycle, self._leave, shut)

    def let_go(self) -> None:
        """All is over, and there was no task."""
        self._tell_left = None
        cycles.let_go(self._cycle)

    def go_on(self, work: Callable[..., Awaitable[None]]) -> None:
        """In a task from now on."""
        self._tell_left = None
        cycles.on_lost(self._cycle, None)
        cycles.begin_task(self._cycle, work)

    def unwatch(self) -> None:
        if self._cycle is not None:
            cycles.on_lost(self._cycle, None)

    def uses(self, source: object) -> None:
        """A model's stream belongs to this request: its token counts go on the request's line."""
        self.stats = getattr(source, "stats", None) or self.stats

    async def answer(self, status: int, headers: Headers, body: Body) -> None:
        """Send it. ``body``: None, bytes, or an async iterator of bytes, which is closed in any case."""
        if body is None or isinstance(body, bytes):
            return await self._whole(status, self._head(status, headers, body), body or b"")
        async with aclosing(body):
            sent = self._head(status, headers, body)
            if self.method == "HEAD" or status in BODYLESS_STATUSES:
                return await self._whole(status, sent, b"")
            await self._start(status, sent)
            del headers, sent  # a stream may take its time
            self.named = _NO_HEADERS
            if isinstance(body, FileBody):
                await cycles.send_file(self._cycle, body)
            await self._pump(body)

    def answer_now(self, status: int, headers: object, body: bytes | None) -> bool:
        """``answer`` of what a process has said, without awaiting anything. False, and nothing is sent: there is more
        to it. Raises ScriptError."""
        if self.scope["root_path"] or not cycles.takes_whole(self._cycle):
            return False
        lines = lines_of(status, headers, -1 if body is None else len(body))
        if lines is None:
            return False
        cycles.write_whole(self._cycle, status, lines, body or b"")
        self.status = status
        return True

    def begin_now(self, status: int, headers: object) -> Callable[[bytes], bool] | None:
        """The same of a head: what writes the chunks of its body, as ``chunk_writer`` has it; ``end_now`` ends that."""
        if self.scope["root_path"] or not cycles.takes_chunks(self._cycle):
            return None
        lines = lines_of(status, headers, None)
        if lines is None:
            return None
        cycles.begin_chunks(self._cycle, status, lines)
        self.status, self.named = status, _NO_HEADERS
        return cycles.chunk_writer(self._cycle, self._begins)

    def end_now(self) -> None:
        cycles.end_chunks(self._cycle)

    async def go_on_with(self, body: BodyStream) -> None:
        """Send the rest of what ``begin_now`` has begun."""
        async with aclosing(body):
            await self._pump(body)

    async def answer_whole(self, status: int, headers: Headers, body: bytes | FileBody) -> None:
        """Send what is here, with its length."""
        length = len(body) if isinstance(body, bytes) else body.length
        headers = [*headers, (b"content-length", b"%d" % length)]
        if isinstance(body, bytes):
            return await self._whole(status, self._head(status, headers, body), body)
        self.watch()
        try:
            await self.answer(status, headers, body)
        finally:
            self.unwatch()

    def upgrade(self, headers: Headers) -> cycles.Taken:
        """Answer 101: from here on the connection is a WebSocket's. Raises ConnectionError when the client has gone."""
        taken = cycles.upgrade(self._cycle, headers)
        self.status = 101
        return taken

    def _head(self, status: int, headers: Headers, body: Body) -> Headers:
        sent = head(self.method, status, headers, body)
        return within_prefix(sent) if self.scope["root_path"] else sent

    async def _start(self, status: int, headers: Headers) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        self.status = status

    async def _whole(self, status: int, headers: Headers, body: bytes) -> None:
        body = b"" if status in BODYLESS_STATUSES else body
        if cycles.answer(self._cycle, status, headers, body):
            self.status = status
            return
        await self._start(status, headers)
        await self._send({"type": "http.response.body", "body": body})

    async def _pump(self, source: BodyStream) -> None:
        """The loop: a chunk leaves the socket when it comes, and waits when the client is slow."""
        send, write, begun = self._send, None, False
        async for chunk in source:
            if write is not None and write(chunk):
                continue
            if self.first is None:
                self._begins()
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not begun:
                write, begun = self._attach_sink(source), True
        await send({"type": "http.response.body", "body": b""})

    def _begins(self) -> None:
        self.first = time.perf_counter() - self.started

    def _attach_sink(self, source: BodyStream) -> Callable[[bytes], bool] | None:
        """What writes a chunk at once. A source that can write for itself while this task waits need not wake it for
        every chunk."""
        attach_sink, write = sink_of(source), cycles.chunk_writer(self._cycle)
        if attach_sink is not None and write is not None:
            attach_sink(write)
        return write

    def _leave(self) -> None:
        self.left = self.inbound.gone = True
        if self._peer is not None:
            self._peer.note("left", self.number)
        if self._task is not None:
            self._task.cancel()
        if self._tell_left is not None:
            self._tell_left()


def _length(named: dict[bytes, bytes]) -> int | None:
    """0 when there is no body; None when its length is not told. Raises ValueError."""
    return None if b"transfer-encoding" in named else int(named.get(b"content-length", 0))
