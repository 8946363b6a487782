"""What each content coding does to bytes: gzip and deflate (zlib), br (Brotli), zstd. The libraries wait for a use."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_CHUNK_BYTES = 256 * 1024  # bytes per decoded chunk at most: a small body that unpacks to gigabytes stays stoppable
_BROTLI_QUALITY = 5  # of Brotli's 0 to 11: the default, 11, is for files that are compressed once
_ZSTD_WINDOW_LOG = 23  # 8 MB: what a zstd decoder must have on the web, and need not exceed (RFC 9659)
_ZLIB_WBITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # zlib's: 16 + 15 asks for the gzip wrapper
CODINGS = frozenset({*_ZLIB_WBITS, "br", "zstd"})


class Decoder(Protocol):
    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What ``chunk`` adds. Raises ``TypeError`` for what is not valid."""

    def finish(self) -> bytes:
        """What is left when no more will come. Raises ``TypeError`` if the body has not ended."""


def encoder(coding: str) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    """(what a chunk becomes, whole, so that it can be read when it comes; what ends the body)"""
    if coding == "br":
        compressor = _brotli().Compressor(quality=_BROTLI_QUALITY)
        return lambda chunk: compressor.process(chunk) + compressor.flush(), compressor.finish
    if coding == "zstd":
        compressor = _zstd().ZstdCompressor()
        return lambda chunk: compressor.compress(chunk, compressor.FLUSH_BLOCK), compressor.flush
    compressor = zlib.compressobj(wbits=_ZLIB_WBITS[coding])
    return lambda chunk: compressor.compress(chunk) + compressor.flush(zlib.Z_SYNC_FLUSH), compressor.flush


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
                yield self._inflate.decompress(chunk, _CHUNK_BYTES)
            except zlib.error as error:
                raise _invalid(self._coding, error) from None
            chunk = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def finish(self) -> bytes:
        rest: bytes = self._inflate.flush() if self._inflate is not None else b""
        if self._inflate is not None and not self._inflate.eof:
            raise _truncated(self._coding)
        return rest

    def _ready_for(self, chunk: bytes) -> bool:
        """False for what follows the end: gzip members may follow one another, anything else is padding."""
        if self._inflate is None or (self._inflate.eof and self._coding != "deflate" and chunk[0] == 0x1F):
            self._inflate = zlib.decompressobj(self._window(chunk))
        return not self._inflate.eof

    def _window(self, chunk: bytes) -> int:
        """Some servers send "deflate" without the zlib wrapper, whose first byte always ends in 8."""
        bare = self._coding == "deflate" and chunk[0] & 0x0F != 8
        return -15 if bare else _ZLIB_WBITS[self._coding]


class _Brotli:
    def __init__(self) -> None:
        brotli = _brotli()
        self._decompressor, self._error, self._has_input = brotli.Decompressor(), brotli.error, False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._has_input = True
        while not self._decompressor.is_finished():
            try:
                piece = self._decompressor.process(chunk, output_buffer_limit=_CHUNK_BYTES)
            except self._error as error:
                raise _invalid("br", error) from None
            if not piece and self._decompressor.can_accept_more_data():
                return
            yield piece
            chunk = b""

    def finish(self) -> bytes:
        if self._has_input and not self._decompressor.is_finished():
            raise _truncated("br")
        return b""


class _Zstd:
    def __init__(self) -> None:
        self._zstd = _zstd()
        self._decompressor: Any = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk or not (self._decompressor is None or self._decompressor.eof or self._decompressor.needs_input):
            if self._decompressor is None or self._decompressor.eof:  # one frame may follow another
                limit = {self._zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
                self._decompressor = self._zstd.ZstdDecompressor(options=limit)
            try:
                yield self._decompressor.decompress(chunk, _CHUNK_BYTES)
            except self._zstd.ZstdError as error:
                raise _invalid("zstd", error) from None
            chunk = self._decompressor.unused_data if self._decompressor.eof else b""

    def finish(self) -> bytes:
        if self._decompressor is not None and not self._decompressor.eof:
            raise _truncated("zstd")
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


def _truncated(coding: str) -> TypeError:
    return TypeError(f"this {coding} body ended before its end")


__all__ = ["CODINGS", "Decoder", "decoder", "encoder"]
