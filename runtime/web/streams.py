"""ReadableStream: bytes that arrive over time, read once. Streams standard, section 4, over async iterators.

Theory of operation. A stream *wraps* a source and does nothing until someone reads: then chunks are taken
from the source one by one, decoded if they carry a content coding, and given out as ``bytes``. Until then
``detach`` can take the source back out, unwrapped, which is how a body passes through a worker untouched.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from typing import Any, NamedTuple, Protocol

from runtime.web import codings
from runtime.web.abort import AbortSignal
from runtime.web.array_buffer import ArrayBuffer
from runtime.web.tee import Ends, split

_USED = "this body has been used already: a stream can be read only once; use clone() or tee() before reading"
_LOCKED = "this stream is locked to a reader; release it first, or tee() before reading"
BUFFERS = (bytes, bytearray, memoryview, array)


def to_bytes(chunk: object) -> bytes:
    """One chunk of a body as bytes: text becomes UTF-8. Raises ``TypeError`` for what is neither."""
    if isinstance(chunk, str):
        return codings.utf8(chunk)
    if isinstance(chunk, BUFFERS):
        return bytes(chunk)
    raise TypeError(
        f"a body's chunks must be bytes or str, not {type(chunk).__name__}: {chunk!r:.80}\n"
        '  To send JSON:  yield json.dumps(item) + "\\n"'
    )


class Sink(Protocol):
    """A ``WritableStream``, as what is piped to it needs it."""

    async def write(self, chunk: bytes) -> None: ...

    async def close(self) -> None: ...

    async def abort(self, reason: object = None) -> None: ...


class Transform(Protocol):
    """A ``TransformStream``, as what is piped through it needs it."""

    readable: ReadableStream

    @property
    def writable(self) -> Sink: ...


class ReadResult(NamedTuple):
    """What ``reader.read()`` returns; ``value`` is None once ``done``."""

    value: ArrayBuffer | None
    done: bool


class ReadableStream:
    """A stream of ``bytes`` over an async iterator of ``bytes`` or ``str``: ``ReadableStream(generate())``.

    Read it with ``async for chunk in stream``, or hand it on as a body. Where Python habit differs from
    JavaScript: leaving an ``async for`` early does not cancel the stream; use
    ``async with contextlib.aclosing(stream)``, or ``await stream.cancel()``. ``close`` of the source, that is
    its ``finally`` blocks, runs on either.
    """

    __slots__ = (
        "_closed", "_ends", "_error", "_iterator", "_source", "coding", "disturbed", "length", "locked", "signal",
    )  # fmt: skip

    def __init__(
        self,
        source: AsyncIterable[bytes | str] | bytes,
        *,
        coding: str = "",
        length: int | None = None,
        signal: AbortSignal | None = None,
    ) -> None:
        """``coding``: undo this content coding on reading. ``length``: bytes the source will give, if known.
        ``signal``: reading fails with its reason once it aborts."""
        if not isinstance(source, bytes) and not hasattr(source, "__aiter__"):
            raise TypeError(f"ReadableStream needs an async iterator, not {type(source).__name__}")
        self._source: Any = source
        self._iterator: AsyncIterator[Any] | None = None
        self.signal = signal
        self._error: Exception | None = None
        self._closed = False
        self._ends: Ends | None = None  # where someone has asked to be told
        self.coding, self.length = coding, length
        self.locked = False  # someone reads, or has taken it over
        self.disturbed = False  # something has been read, or thrown away

    def get_reader(self) -> ReadableStreamDefaultReader:
        """Lock the stream to a reader, which is also an async iterator."""
        if self.locked:
            raise TypeError(_LOCKED)
        self.locked = True
        return ReadableStreamDefaultReader(self)

    def __aiter__(self) -> ReadableStreamDefaultReader:
        return self.get_reader()

    def tee(self, *, limit: int = 128 * 1024 * 1024) -> tuple[ReadableStream, ReadableStream]:
        """Two streams with the same chunks, in place of this one, which becomes locked.

        Chunks that one branch has read wait in memory for the other. When more than ``limit`` bytes wait,
        both branches fail with ``TypeError`` (a Worker's memory is bounded, so this is, too).
        """
        if self.locked:
            raise TypeError(_LOCKED)
        fresh, content = not self.disturbed, self._source
        self.locked = self.disturbed = True
        if fresh and isinstance(content, bytes):
            return ReadableStream(content), ReadableStream(content)
        coding, length = (self.coding, self.length) if fresh else ("", None)
        if fresh:
            self.coding = ""  # each branch undoes it for itself, or passes it on
        one, two = split(self, limit)
        return (ReadableStream(one, coding=coding, length=length), ReadableStream(two, coding=coding, length=length))

    def pipe_to(self, sink: Sink) -> asyncio.Future[None]:
        """Write all of it to a ``WritableStream``, and close that; what fails on one side ends the other. It has begun
        when this returns. Raises ``TypeError`` while locked."""
        piping = asyncio.ensure_future(_pipe(self.get_reader(), sink))
        _piping.add(piping)
        piping.add_done_callback(_piped)
        return piping

    def pipe_through(self, transform: Transform) -> ReadableStream:
        """What comes out of a ``TransformStream`` that this goes into."""
        self.pipe_to(transform.writable)
        return transform.readable

    async def cancel(self, reason: object = None) -> None:
        """Throw away what has not been read, and close the source. Raises ``TypeError`` while locked."""
        if self.locked:
            raise TypeError(_LOCKED)
        await self.aclose()

    async def aclose(self) -> None:
        """Close the source, whoever reads: what ``contextlib.aclosing`` calls."""
        self.disturbed = self._closed = True
        self.locked = False
        self._tell()
        await self._close_source()

    async def _close_source(self) -> None:
        for layer in (self._iterator, self._source):
            close = getattr(layer, "aclose", None)
            if close is not None:
                await close()

    def check_unlocked(self) -> None:
        """Raise ``TypeError`` unless this stream can be used as a body."""
        if self.disturbed:
            raise TypeError(_USED)
        if self.locked:
            raise TypeError(_LOCKED)

    def detach(self, coding: str = "") -> bytes | AsyncIterator[Any]:
        """Take the content out, once, for a peer who is told that it carries ``coding``.

        When it does, that is the very source this stream was made of. Otherwise, and while an abort signal
        watches the stream, it is an iterator that reads through the stream.
        """
        self.check_unlocked()
        self.locked = self.disturbed = True
        if coding != self.coding or self.signal is not None:
            return _Chunks(self)
        source = self._source
        if isinstance(source, bytes) or hasattr(source, "__anext__"):
            return source  # type: ignore[no-any-return]
        return source.__aiter__()  # type: ignore[no-any-return]

    async def pull(self) -> bytes:
        """The next chunk. Raises ``StopAsyncIteration`` at the end, and what the source raises."""
        self.disturbed = True
        if self._error is not None:
            raise self._error
        if self._closed:
            raise StopAsyncIteration
        try:
            if self._iterator is None:
                self._iterator = self._begin()
            step = self._iterator.__anext__()
            chunk = await (step if self.signal is None else self.signal.race(step))
            return chunk if type(chunk) is bytes else to_bytes(chunk)
        except StopAsyncIteration:
            self._closed, self.locked = True, False
            self._tell()
            raise
        except Exception as error:
            self._error = error  # kept: a finished generator would look like a clean end to the next read
            self._tell()
            await self._close_source()  # after an abort the source still runs
            raise

    @property
    def closed(self) -> asyncio.Future[None]:
        """For the reader: done at the end, or with what has failed."""
        self._ends = self._ends or Ends()
        self._tell()
        return self._ends.future

    def _tell(self) -> None:
        if self._ends is not None and (self._closed or self._error is not None):
            self._ends.tell(self._error)

    def _begin(self) -> AsyncIterator[Any]:
        source = self._source
        iterator: AsyncIterator[Any] = _once(source) if isinstance(source, bytes) else source.__aiter__()
        return codings.decode(iterator, self.coding) if self.coding else iterator

    getReader = get_reader
    pipeTo, pipeThrough = pipe_to, pipe_through


class ReadableStreamDefaultReader:
    """The one who reads a stream: ``async for chunk in reader``, or ``(await reader.read()).value``."""

    __slots__ = ("_stream",)

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream

    def __aiter__(self) -> ReadableStreamDefaultReader:
        return self

    async def __anext__(self) -> ArrayBuffer:
        return ArrayBuffer(await self._stream.pull())

    @property
    def closed(self) -> asyncio.Future[None]:
        """Done once the stream is at its end; fails with what the stream fails with."""
        return self._stream.closed

    async def read(self) -> ReadResult:
        try:
            return ReadResult(await anext(self), False)
        except StopAsyncIteration:
            return ReadResult(None, True)

    def release_lock(self) -> None:
        """Let another reader go on from here."""
        self._stream.locked = False

    async def cancel(self, reason: object = None) -> None:
        await self._stream.aclose()

    async def aclose(self) -> None:
        await self._stream.aclose()

    releaseLock = release_lock


class _Chunks:
    """What is left of a stream, for a peer."""

    def __init__(self, stream: ReadableStream) -> None:
        self._stream = stream

    def __aiter__(self) -> _Chunks:
        return self

    def __anext__(self) -> Coroutine[Any, Any, bytes]:
        return self._stream.pull()

    async def aclose(self) -> None:
        await self._stream.aclose()


_piping: set[asyncio.Future[None]] = set()


async def _pipe(reader: ReadableStreamDefaultReader, sink: Sink) -> None:
    try:
        async for chunk in reader:
            await sink.write(chunk)
    except BaseException as error:
        await reader.cancel()
        await sink.abort(error)
        raise
    await sink.close()


def _piped(task: asyncio.Future[None]) -> None:
    """What has failed, whoever reads the other end hears of."""
    _piping.discard(task)
    if not task.cancelled():
        task.exception()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
