"""Content codings (RFC 9110, section 8.4.1): undone when a worker reads a body, kept when it passes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from runtime.web.coders import CODINGS, decoder, encoder

_NO = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*", re.IGNORECASE)


def canonical(header: str | None) -> str:
    """A Content-Encoding value as a name to compare; ``""`` for none."""
    name = (header or "").strip().lower()
    return {"identity": "", "x-gzip": "gzip"}.get(name, name)


def is_known(coding: str) -> bool:
    return coding in CODINGS


def accepts(header: str | None, coding: str) -> bool:
    """Whether an ``Accept-Encoding`` allows ``coding``. Where a client says nothing it takes anything (RFC 9110,
    section 12.5.3)."""
    if header is None:
        return True
    parts = [part.partition(";") for part in header.lower().split(",")]
    allowed = {canonical(name): not _NO.fullmatch(weight) for name, _, weight in parts}
    return allowed.get(coding, allowed.get("*", False))


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
        close: Any = getattr(self._source, "aclose", None)
        if close is not None:
            await close()
