"""WritableStream, TransformStream and what is made of them. Streams standard, sections 5 and 6.

A stream carries bytes here, as every body does: text that is written becomes UTF-8. At most ``_AHEAD`` chunks wait in a
TransformStream; ``write`` waits for its reader then.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from runtime.web.streams import ReadableStream, to_bytes
from runtime.web.tee import Ends

_AHEAD = 16  # chunks
Function = Callable[..., Any]


class WritableStream:
    """``WritableStream({"write": fn, "close": fn, "abort": fn})``: each plain or async, each may be left out."""

    def __init__(self, sink: object = None, strategy: object = None, **functions: Function) -> None:
        self._sink, self.locked, self._closed = functions if sink is None else sink, False, False
        self._failed: BaseException | None = None
        self._ends: Ends | None = None  # where someone has asked to be told
        self._turn = asyncio.Lock()  # of those who write without waiting, too

    def getWriter(self) -> WritableStreamDefaultWriter:
        """Raises TypeError while another writes."""
        if self.locked:
            raise TypeError("This WritableStream is currently locked to a writer.")
        self.locked = True
        return WritableStreamDefaultWriter(self)

    async def write(self, chunk: object) -> None:
        if self._closed:
            raise TypeError("This WritableStream has been closed.")
        async with self._turn:
            try:
                await self._ask("write", chunk, self)
            except Exception as error:
                self._fail(error)
                raise

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            async with self._turn:
                await self._ask("close")
            self._tell()

    async def abort(self, reason: object = None) -> None:
        if not self._closed and self._failed is None:
            self._fail(reason if isinstance(reason, BaseException) else TypeError(f"aborted: {reason}"))
            await called(self._sink, "abort", reason)

    async def _ask(self, what: str, *args: object) -> None:
        if self._failed is not None:
            raise self._failed
        await called(self._sink, what, *args)

    def error(self, reason: object = None) -> None:
        """As the controller that ``write`` is handed."""
        self._fail(reason if isinstance(reason, BaseException) else TypeError(str(reason)))

    @property
    def closed(self) -> asyncio.Future[None]:
        """For the writer: done once all is written, or with what has failed."""
        self._ends = self._ends or Ends()
        if self._failed is not None or (self._closed and not self._turn.locked()):
            self._tell()
        return self._ends.future

    def _fail(self, error: BaseException) -> None:
        self._failed = error
        self._tell()

    def _tell(self) -> None:
        if self._ends is not None:
            self._ends.tell(self._failed)


class WritableStreamDefaultWriter:
    """The one who writes."""

    desiredSize = 1

    def __init__(self, stream: WritableStream) -> None:
        self._stream = stream

    async def write(self, chunk: object) -> None:
        await self._stream.write(chunk)

    async def close(self) -> None:
        await self._stream.close()

    async def abort(self, reason: object = None) -> None:
        await self._stream.abort(reason)

    def releaseLock(self) -> None:
        self._stream.locked = False

    @property
    def closed(self) -> asyncio.Future[None]:
        """Done once the stream is closed; fails with what the stream fails with."""
        return self._stream.closed

    @property
    async def ready(self) -> None:
        """``write`` itself waits."""


class Controller:
    """What a transformer enqueues, on its way to the reader."""

    def __init__(self) -> None:
        self._chunks: deque[Any] = deque()
        self._changed = asyncio.Event()
        self._over, self._left = False, False
        self._failed: BaseException | None = None

    @property
    def desiredSize(self) -> int:
        return _AHEAD - len(self._chunks)

    def enqueue(self, chunk: object = None) -> None:
        """Raises TypeError once it is over."""
        if self._over:
            raise TypeError(
                "Cannot enqueue a chunk into a readable stream that is closed or has been requested to be closed"
            )
        self._chunks.append(chunk)
        self._changed.set()

    def terminate(self) -> None:
        self._over = True
        self._changed.set()

    close = terminate

    def error(self, reason: object = None) -> None:
        self._failed = reason if isinstance(reason, BaseException) else TypeError(str(reason))
        self._changed.set()

    async def room(self) -> None:
        """Until the reader has caught up. Raises TypeError when it has gone."""
        while len(self._chunks) >= _AHEAD and not self._left:
            await self._change()
        if self._left:
            raise TypeError("the readable side of this stream has been cancelled")

    async def read(
        self, ask: Callable[[], Any] | None = None, gone: Callable[[], Any] | None = None
    ) -> AsyncIterator[Any]:
        """What has been enqueued, in order. ``ask``: has more enqueued; ``gone``: the reader has left early."""
        try:
            while True:
                while self._chunks:
                    chunk = self._chunks.popleft()
                    self._changed.set()
                    yield chunk
                if self._failed is not None:
                    raise self._failed
                if self._over:
                    return
                await (self._change() if ask is None else ask())
        finally:
            self._left = True
            self._changed.set()
            if gone is not None and not self._over and self._failed is None:
                await gone()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class TransformStream:
    """``TransformStream({"start": fn, "transform": fn, "flush": fn})``, or without one to pass all on.

    ``transform(chunk, controller)`` enqueues what the reader shall have.
    """

    def __init__(self, transformer: object = None, *strategies: object, **functions: Function) -> None:
        self._transformer = functions if transformer is None else transformer
        self._controller, self._begun = Controller(), False
        self.readable = ReadableStream(self._controller.read())
        self.writable = WritableStream(write=self._write, close=self._close, abort=self._abort)

    async def _write(self, chunk: object, _: object) -> None:
        await self._begin()
        await self._controller.room()
        if found(self._transformer, "transform") is None:
            self._controller.enqueue(chunk)
        else:
            await self._guarded("transform", chunk)

    async def _close(self) -> None:
        await self._begin()
        await self._guarded("flush")
        self._controller.terminate()

    async def _abort(self, reason: object = None) -> None:
        self._controller.error(reason if reason is not None else TypeError("the stream was aborted"))

    async def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            await self._guarded("start")

    async def _guarded(self, name: str, *args: object) -> None:
        """What a transformer raises, both sides raise."""
        try:
            await called(self._transformer, name, *args, self._controller)
        except Exception as error:
            self._controller.error(error)
            raise


IdentityTransformStream = TransformStream


class FixedLengthStream(TransformStream):
    """Passes so many bytes on. Raises TypeError for more, and at the end for fewer."""

    def __init__(self, length: int) -> None:
        super().__init__(transform=self._counted, flush=self._whole)
        self._left = int(length)

    def _counted(self, chunk: object, controller: Controller) -> None:
        self._left -= len(to_bytes(chunk))
        if self._left < 0:
            raise TypeError("Attempt to write too many bytes through a FixedLengthStream.")
        controller.enqueue(chunk)

    def _whole(self, controller: Controller) -> None:
        if self._left:
            raise TypeError("FixedLengthStream did not see all expected bytes before close().")


def from_source(source: object) -> ReadableStream:
    """``new ReadableStream({start, pull, cancel})``: each may be left out."""
    controller = Controller()

    async def chunks() -> AsyncIterator[Any]:
        await called(source, "start", controller)
        ask = None if found(source, "pull") is None else (lambda: called(source, "pull", controller))
        async for chunk in controller.read(ask, lambda: called(source, "cancel", None)):
            yield chunk

    return ReadableStream(chunks())


def found(holder: object, name: str) -> Function | None:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


async def called(holder: object, name: str, *args: object) -> None:
    """The holder's function of that name, if it has one, with as many of ``args`` as it takes."""
    function = found(holder, name)
    if function is None:
        return
    done = function(*args[: _count(function, len(args))])
    if inspect.isawaitable(done):
        await done


def _count(function: Function, most: int) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return most
    if any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters):
        return most
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )


__all__ = [
    "Controller", "FixedLengthStream", "IdentityTransformStream", "TransformStream", "WritableStream", "called",
    "from_source",
]  # fmt: skip
