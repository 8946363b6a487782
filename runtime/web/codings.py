"""Content codings (RFC 9110, section 8.4.1): undone when a worker reads a body, kept when it passes."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

_PIECE = 256 * 1024  # bytes per decoded chunk at most: a small body that unpacks to gigabytes stays stoppable
_WINDOW = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's wbits: 16 + 15 asks for the gzip wrapper


def canonical(header: str | None) -> str:
    """A Content-Encoding value as a name to compare; ``""`` for none."""
    name = (header or "").strip().lower()
    return {"identity": "", "x-gzip": "gzip"}.get(name, name)


def can_encode(coding: str) -> bool:
    return coding in _WINDOW


def decode(source: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """The chunks with ``coding`` undone. Raises ``TypeError`` for a coding not known here."""
    if coding not in _WINDOW:
        raise TypeError(
            f"this body is {coding}-encoded, which cannot be decoded here; "
            'ask for another: fetch(url, headers={"accept-encoding": "gzip, deflate"})'
        )
    decoder = _Decoder(coding)
    return Transcoder(source, decoder.feed, decoder.finish)


def encode(source: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """The chunks with ``coding`` applied; every chunk leaves as it comes, so streams stay streams."""
    squeeze = zlib.compressobj(wbits=_WINDOW[coding])

    def feed(chunk: bytes) -> Iterator[bytes]:
        yield squeeze.compress(chunk) + squeeze.flush(zlib.Z_SYNC_FLUSH)

    def finish() -> Iterator[bytes]:
        yield squeeze.flush()

    return Transcoder(source, feed, finish)


def encode_bytes(content: bytes, coding: str) -> bytes:
    squeeze = zlib.compressobj(wbits=_WINDOW[coding])
    return squeeze.compress(content) + squeeze.flush()


class Transcoder:
    """An async iterator that maps a byte stream. A class, since closing a generator that never started
    would leave its source open."""

    def __init__(
        self,
        source: AsyncIterator[bytes],
        feed: Callable[[bytes], Iterator[bytes]],
        finish: Callable[[], Iterator[bytes]],
    ) -> None:
        self._source, self._feed, self._finish = source, feed, finish
        self._ready: Iterator[bytes] = iter(())
        self._ended = False

    def __aiter__(self) -> Transcoder:
        return self

    async def __anext__(self) -> bytes:
        while True:
            for chunk in self._ready:
                if chunk:
                    return chunk
            if self._ended:
                raise StopAsyncIteration
            await self._advance()

    async def _advance(self) -> None:
        try:
            self._ready = self._feed(await anext(self._source))
        except StopAsyncIteration:
            self._ended = True
            self._ready = self._finish()

    async def aclose(self) -> None:
        self._ended, self._ready = True, iter(())
        close: Any = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


class _Decoder:
    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate: Any = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk and self._ready_for(chunk):
            try:
                yield self._inflate.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise TypeError(f"this body is not valid {self._coding}: {error}") from None
            chunk = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def finish(self) -> Iterator[bytes]:
        if self._inflate is None:
            return
        yield self._inflate.flush()
        if not self._inflate.eof:
            raise TypeError(f"this {self._coding} body ended before its end")

    def _ready_for(self, chunk: bytes) -> bool:
        """False for what follows the end: gzip members may follow one another, anything else is padding."""
        if self._inflate is None or (self._inflate.eof and self._coding != "deflate" and chunk[0] == 0x1F):
            self._inflate = zlib.decompressobj(self._window(chunk))
        return not self._inflate.eof

    def _window(self, chunk: bytes) -> int:
        """Some servers send "deflate" without the zlib wrapper, whose first byte always ends in 8."""
        bare = self._coding == "deflate" and chunk[0] & 0x0F != 8
        return -15 if bare else _WINDOW[self._coding]
