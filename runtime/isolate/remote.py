"""What an isolate holds of things that live in the supervisor: streams by handle, bindings by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from typing import Any

from runtime.isolate.bodies import SentStream, split
from runtime.values import stream_mark
from runtime.web import ReadableStream
from runtime.wire import Channel, RemoteError, RemoteStream

current_event: ContextVar[int] = ContextVar("current_event", default=0)

Content = bytes | AsyncIterator[Any]

# What a stream's source raises, as a worker knows it: a client that leaves, a server that breaks off.
_EXCEPTIONS: dict[str, type[Exception]] = {"ConnectionError": ConnectionError, "FetchError": TypeError}


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


def reference(channel: Channel, body: Content, failures: list[Exception] | None = None) -> tuple[str, int]:
    """(whose, stream number) of a body: one that came from the supervisor unread goes back as it came.

    ``failures`` gets what its source raises.
    """
    if isinstance(body, HandleStream) and (number := body.hand_back()) is not None:
        return "yours", number
    source = split(body) if isinstance(body, bytes) else SentStream(body, [] if failures is None else failures)
    return "mine", channel.offer(source)


class Caller:
    """The worker's half of a binding speaks to its host's half through this, and to no other binding's."""

    __slots__ = ("_channel", "_name")

    def __init__(self, channel: Channel, name: str) -> None:
        self._channel, self._name = channel, name

    async def call(self, method: str, *args: object) -> Any:
        """Plain data, or a ``HandleStream``. Raises ``runtime.wire.RemoteError``.

        A ``ReadableStream`` among ``args`` is brought over while the host's half reads it, or handed back when it is
        the supervisor's own; what its source raises is raised here.
        """
        failures: list[Exception] = []
        sent = [self._sent(arg, failures) if isinstance(arg, ReadableStream) else arg for arg in args]
        try:
            kind, value, *meta = await self._channel.call("binding", current_event.get(), self._name, method, sent)
        except RemoteError:
            for failure in failures:
                raise failure from None
            raise
        return HandleStream(self._channel.read(value), meta[0]) if kind == "stream" else value

    def _sent(self, stream: ReadableStream, failures: list[Exception]) -> object:
        content = stream.detach()
        return content if isinstance(content, bytes) else stream_mark(*reference(self._channel, content, failures))
