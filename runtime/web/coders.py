"""What each content coding does to bytes: gzip and deflate (zlib), br (Brotli), zstd. The libraries wait for a use."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_PIECE = 256 * 1024  # bytes per decoded chunk at most: a small body that unpacks to gigabytes stays stoppable
_QUALITY = 5  # of Brotli's 0 to 11: the default, 11, is for files that are compressed once
_WINDOW_LOG = 23  # 8 MB: what a zstd decoder must have on the web, and need not exceed (RFC 9659)
_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's: 16 + 15 asks for the gzip wrapper
CODINGS = frozenset({*_WBITS, "br", "zstd"})


class Decoder(Protocol):
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What ``chunk`` adds. Raises ``TypeError`` for what is not valid."""

    def finish(self) -> bytes:
        """What is left when no more will come. Raises ``TypeError`` if the body has not ended."""


def encoder(coding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """(what a chunk becomes, whole, so that it can be read when it comes; what ends the body)"""
    if coding == "br":
        br = _brotli().Compressor(quality=_QUALITY)
        return lambda chunk: br.process(chunk) + br.flush(), br.finish
    if coding == "zstd":
        pack = _zstd().ZstdCompressor()
        return lambda chunk: pack.compress(chunk, pack.FLUSH_BLOCK), pack.flush
    squeeze = zlib.compressobj(wbits=_WBITS[coding])
    return lambda chunk: squeeze.compress(chunk) + squeeze.flush(zlib.Z_SYNC_FLUSH), squeeze.flush


def decoder(coding: str) -> Decoder:
    if coding == "br":
        return _Brotli()
    return _Zstd() if coding == "zstd" else _Zlib(coding)


class _Zlib:
    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflate: Any = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk and self._ready_for(chunk):
            try:
                yield self._inflate.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise _invalid(self._coding, error) from None
            chunk = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def finish(self) -> bytes:
        rest: bytes = self._inflate.flush() if self._inflate is not None else b""
        if self._inflate is not None and not self._inflate.eof:
            raise _cut(self._coding)
        return rest

    def _ready_for(self, chunk: bytes) -> bool:
        """False for what follows the end: gzip members may follow one another, anything else is padding."""
        if self._inflate is None or (self._inflate.eof and self._coding != "deflate" and chunk[0] == 0x1F):
            self._inflate = zlib.decompressobj(self._window(chunk))
        return not self._inflate.eof

    def _window(self, chunk: bytes) -> int:
        """Some servers send "deflate" without the zlib wrapper, whose first byte always ends in 8."""
        bare = self._coding == "deflate" and chunk[0] & 0x0F != 8
        return -15 if bare else _WBITS[self._coding]


class _Brotli:
    def __init__(self) -> None:
        brotli = _brotli()
        self._unpack, self._error, self._begun = brotli.Decompressor(), brotli.error, False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._begun = True
        while not self._unpack.is_finished():
            try:
                piece = self._unpack.process(chunk, output_buffer_limit=_PIECE)
            except self._error as error:
                raise _invalid("br", error) from None
            if not piece and self._unpack.can_accept_more_data():
                return
            yield piece
            chunk = b""

    def finish(self) -> bytes:
        if self._begun and not self._unpack.is_finished():
            raise _cut("br")
        return b""


class _Zstd:
    def __init__(self) -> None:
        self._zstd = _zstd()
        self._unpack: Any = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk or not (self._unpack is None or self._unpack.eof or self._unpack.needs_input):
            if self._unpack is None or self._unpack.eof:  # one frame may follow another
                limit = {self._zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
                self._unpack = self._zstd.ZstdDecompressor(options=limit)
            try:
                yield self._unpack.decompress(chunk, _PIECE)
            except self._zstd.ZstdError as error:
                raise _invalid("zstd", error) from None
            chunk = self._unpack.unused_data if self._unpack.eof else b""

    def finish(self) -> bytes:
        if self._unpack is not None and not self._unpack.eof:
            raise _cut("zstd")
        return b""


def _brotli() -> Any:
    import brotli  # type: ignore[import-untyped]

    return brotli


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _invalid(coding: str, error: Exception) -> TypeError:
    return TypeError(f"this body is not valid {coding}: {error}")


def _cut(coding: str) -> TypeError:
    return TypeError(f"this {coding} body ended before its end")


__all__ = ["CODINGS", "Decoder", "decoder", "encoder"]
