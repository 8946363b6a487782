"""The deltas of one request to one process, as whoever answers it reads them, and two short cuts past a reader.

The way of a token, from ``client``, ends here. An encoder of ``bindings.ai.answers`` iterates over the ``DeltaStream``
and makes each delta bytes. It may ``attach_sink``: while it has read all there is and waits, the channel gives the
text of each delta straight to the sink, which writes it to the client's socket, and no task is woken. A delta that is
more than text, or that the sink cannot take because the socket is full, wakes the reader as ever. Or it has them
``flow``: then there is no reader, until one is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from bindings.ai.engine.deltas import coalesced, from_wire
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import Delta, Generate
from runtime.tracing import NO_SPAN, Span
from runtime.wire import RemoteStream

COALESCE_ABOVE = 16  # deltas; a reader that has more waiting gets them as one
Sink = Callable[[list[Any]], bool]
"""``take(item)``, of deltas as lists: False when it cannot be taken now, or is more than plain text."""


class Asked(Protocol):
    """An engine (``bindings.ai.engine.client``), as its streams know it."""

    async def serving(self) -> EngineProcess: ...

    def span_below(self, parent: Span) -> Span:
        """Of a request, from the question to the answer's end."""

    def taken(self) -> None:
        """A request is in hand, until ``returned``."""

    def returned(self, process: EngineProcess) -> None: ...

    def translated(self, error: BaseException, process: EngineProcess) -> BaseException:
        """What became of a request in the process, as ``EngineError``; anything else as it is."""


class DeltaStream:
    """Asks when it is first read. ``span``: the one that the request is a part of; its own, once it has asked."""

    __slots__ = ("_asked", "_engine", "_process", "_ready", "_span", "_stream")

    def __init__(self, engine: Asked, request: Generate, request_id: str, span: Span) -> None:
        self._engine, self._span = engine, span
        self._asked: tuple[Generate, str] | None = request, request_id  # until then
        self._process: EngineProcess | None = None  # while the request is in hand
        self._stream: RemoteStream | None = None
        self._ready: list[Delta] = []

    def __aiter__(self) -> DeltaStream:
        return self

    async def __anext__(self) -> Delta:
        if self._ready:
            return self._ready.pop(0)
        if self._asked is not None:
            await self._ask(*self._asked)
        if (stream := self._stream) is None:
            raise StopAsyncIteration
        try:
            item = await stream.__anext__()
        except BaseException as error:
            raise self._over(error) from None
        if not stream.waiting:
            return from_wire(item)
        ready = [from_wire(each) for each in (item, *stream.take_ready())]
        self._ready = [*coalesced(ready)] if len(ready) > COALESCE_ABOVE else ready
        return self._ready.pop(0)

    def attach_sink(self, take: Sink) -> None:
        """From here on what comes is offered to ``take`` whenever the reader has nothing else to do."""
        if self._stream is not None:
            self._stream.attach_sink(take)

    @property
    def flows(self) -> bool:
        return self._stream is not None and not self._ready and self._span is NO_SPAN

    def flow(self, take: Callable[[list[Any]], bool], ended: Callable[[], None], held: Callable[[], None]) -> None:
        """As of ``runtime.wire.Flowing``, of deltas as lists. What has ended is to be dropped as well."""
        assert self._stream is not None
        self._stream.flow(take, ended, held)

    def hold(self) -> None:
        """As of ``Flowing``."""
        assert self._stream is not None
        self._stream.hold()

    def drop(self) -> None:
        """No more is wanted: what is in hand is aborted."""
        self._over(GeneratorExit())

    async def aclose(self) -> None:
        """The same."""
        self.drop()

    async def _ask(self, request: Generate, request_id: str) -> None:
        """Raises EngineError."""
        self._asked, process = None, await self._engine.serving()
        self._process, self._span = process, self._engine.span_below(self._span)
        self._engine.taken()
        try:
            self._stream = process.stream(_continued(request, self._span), request_id)
        except BaseException as error:
            raise self._over(error) from None

    def _over(self, error: BaseException) -> BaseException:
        """Once: it is in hand no more. What ``error`` is to whoever asked."""
        self._asked = None
        process, self._process = self._process, None
        if process is None:
            return error
        if self._stream is not None:
            self._stream.drop()
        if not isinstance(error, StopAsyncIteration | GeneratorExit):
            error = self._engine.translated(error, process)
        self._span.end(None if isinstance(error, StopAsyncIteration) else error)
        self._engine.returned(process)
        return error


def _continued(request: Generate, span: Span) -> Generate:
    """``request`` with the headers by which an engine continues the trace, if they leave this process."""
    headers = dict(span.headers)
    return msgspec.structs.replace(request, trace_headers=headers) if headers else request


__all__ = ["COALESCE_ABOVE", "DeltaStream", "Sink"]
