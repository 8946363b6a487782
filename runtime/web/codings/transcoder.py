"""A stream of bytes with a content coding undone, or applied."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

from runtime.web.codings.coders import decoder, encoder
from runtime.web.codings.header import is_known


def decode(source: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """The chunks with ``coding`` undone. Raises ``TypeError`` for a coding not known here."""
    if not is_known(coding):
        raise TypeError(
            f"this body is {coding}-encoded, which cannot be decoded here; "
            'ask for another: fetch(url, headers={"accept-encoding": "gzip, br, zstd"})'
        )
    undo = decoder(coding)

    def finish() -> Iterator[bytes]:
        yield undo.finish()

    return Transcoder(source, undo.feed, finish)


def encode(source: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """The chunks with ``coding`` applied; every chunk leaves as it comes, so streams stay streams."""
    squeeze, end = encoder(coding)

    def feed(chunk: bytes) -> Iterator[bytes]:
        yield squeeze(chunk)

    def finish() -> Iterator[bytes]:
        yield end()

    return Transcoder(source, feed, finish)


def encode_bytes(content: bytes, coding: str) -> bytes:
    squeeze, end = encoder(coding)
    return squeeze(content) + end()


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
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()


__all__ = ["Transcoder", "decode", "encode", "encode_bytes"]
