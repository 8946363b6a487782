"""What an isolate holds of things that live in the supervisor: streams by handle, bindings by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from runtime.isolate.ambient import INTERNAL
from runtime.isolate.gates import unkept, until_kept
from runtime.isolate.serving.bodies import SentStream, split
from runtime.isolate.serving.sockets import fetched
from runtime.values import stream_mark
from runtime.web import ReadableStream, Request, Response
from runtime.web.abort import NetworkError
from runtime.web.sockets import WebSocket
from runtime.wire import MAX_CHUNK, Channel, RemoteError, RemoteStream

current_event: ContextVar[int] = ContextVar("current_event", default=0)


class _Lent:
    """What the process has of the supervisor once a worker is loaded."""

    channel: Channel | None = None


lent = _Lent()
Content = bytes | AsyncIterator[Any]

# Bytes of a worker's body, a response's or an outbound request's, that travel in the frame of its head; a larger one is
# a stream. It is whole when it is sent, so one large frame is cheaper than many. (A client's upload has another limit,
# ``supervisor.http.exchange``: it would hold the request up while it comes.)
WORKER_INLINE_BYTES = MAX_CHUNK

# What a stream's source raises, as a worker knows it: a client that leaves, a server that breaks off.
_EXCEPTIONS: dict[str, type[Exception]] = {"ConnectionError": ConnectionError, "FetchError": NetworkError}


class HandleStream:
    """A byte stream the supervisor owns. Returned unread as a body, it never crosses to this process."""

    __slots__ = ("_stream", "meta")

    def __init__(self, stream: RemoteStream, meta: Mapping[str, Any] | None = None) -> None:
        self._stream, self.meta = stream, meta or {}

    def __aiter__(self) -> HandleStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            item: bytes = await self._stream.__anext__()
        except RemoteError as error:
            if (exception := _EXCEPTIONS.get(error.name)) is None:
                raise
            raise exception(error.message) from None
        return item

    async def aclose(self) -> None:
        await self._stream.aclose()

    def hand_back(self) -> int | None:
        """The supervisor's number for this stream if nobody has read from it yet."""
        if self._stream.started:
            return None
        self._stream.release()
        return self._stream.handle


class FetchedSocket(NamedTuple):
    """A socket that a binding has answered with."""

    socket: WebSocket
    meta: Mapping[str, Any]


def reference(channel: Channel, body: Content, failures: list[Exception] | None = None) -> tuple[str, int]:
    """(whose, stream number) of a body: one that came from the supervisor unread goes back as it came.

    ``failures`` gets what its source raises.
    """
    if isinstance(body, HandleStream) and (number := body.hand_back()) is not None:
        return "yours", number
    source = split(body) if isinstance(body, bytes) else SentStream(body, [] if failures is None else failures)
    return "mine", channel.offer(source)


def fits_inline(body: Content) -> bool:
    return isinstance(body, bytes) and len(body) <= WORKER_INLINE_BYTES


class Outbound:
    """``fetch``, which the supervisor does for the worker."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def __call__(self, request: Request) -> Response:
        await until_kept()
        method, url, headers, body = request.to_parts()
        stream = None
        if body is not None and not fits_inline(body):
            stream, body = reference(self._channel, body), None
        try:
            sent = (method, url, headers, body, stream, request.redirect)
            answer = await self._channel.call("fetch", current_event.get(), *sent)
        except RemoteError as error:
            raise NetworkError(error.message) from None  # what the standard calls a network error
        status, text, answered, final, redirected, handle = answer
        if isinstance(handle, list):
            return self._with_socket(answer)
        content: HandleStream | None = HandleStream(self._channel.read(handle))
        if content is not None and (method == "HEAD" or status in (204, 205, 304)):
            await content.aclose()
            content = None
        return Response.from_parts(status, text, answered, content, url=final, redirected=redirected)

    def _with_socket(self, answer: list[Any]) -> Response:
        status, text, headers, final, redirected, (_, number) = answer
        response = Response.from_parts(status, text, headers, None, url=final, redirected=redirected)
        response.web_socket = fetched(self._channel, number, response.headers.get("sec-websocket-protocol") or "")
        return response


class Caller:
    """The worker's half of a binding speaks to its host's half through this, and to no other binding's. ``line``: to
    other workers, ``runtime.isolate.calls.line``, for a binding that leads there."""

    __slots__ = ("_channel", "_name", "line")

    def __init__(self, channel: Channel, name: str, line: Any = None) -> None:
        self._channel, self._name, self.line = channel, name, line

    async def call(self, method: str, *args: object) -> Any:
        """Plain data, a ``HandleStream`` or a ``FetchedSocket``. Raises ``runtime.wire.RemoteError``.

        A ``ReadableStream`` among ``args`` is brought over while the host's half reads it, or handed back when it is
        the supervisor's own; what its source raises is raised here.
        """
        if not self._name.startswith(INTERNAL) and (waits := unkept()) is not None:
            await waits
        failures: list[Exception] = []
        sent = [self._sent(arg, failures) if isinstance(arg, ReadableStream) else arg for arg in args]
        try:
            kind, value, *meta = await self._channel.call("binding", current_event.get(), self._name, method, sent)
        except RemoteError:
            for failure in failures:
                raise failure from None
            raise
        if kind == "socket":
            return self._socket(value, meta[0])
        return HandleStream(self._channel.read(value), meta[0]) if kind == "stream" else value

    def _socket(self, number: int, meta: Mapping[str, Any]) -> FetchedSocket:
        return FetchedSocket(fetched(self._channel, number, meta.get("protocol", "")), meta)

    def _sent(self, stream: ReadableStream, failures: list[Exception]) -> object:
        content = stream.detach()
        return content if isinstance(content, bytes) else stream_mark(*reference(self._channel, content, failures))
