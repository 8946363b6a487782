"""CompressionStream, DecompressionStream, TextEncoderStream and TextDecoderStream."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from runtime.web.globals.piping import Controller, TransformStream
from runtime.web.globals.text import TextDecoder
from runtime.web.streams import to_bytes

_WINDOWS = {"gzip": 31, "deflate": 15, "deflate-raw": -15}  # zlib's wbits
_PIECE_BYTES = 256 * 1024  # that one chunk may grow to at a time


def _window(format: str) -> int:
    if format not in _WINDOWS:
        raise TypeError("The compression format must be either 'deflate', 'deflate-raw' or 'gzip'.")
    return _WINDOWS[format]


class CompressionStream(TransformStream):
    """``format``: "gzip", "deflate" or "deflate-raw". Raises TypeError for another."""

    def __init__(self, format: str) -> None:
        super().__init__(transform=self._packed, flush=self._rest)
        self._packer = zlib.compressobj(wbits=_window(format))

    def _packed(self, chunk: object, controller: Controller) -> None:
        if data := self._packer.compress(to_bytes(chunk)):
            controller.enqueue(data)

    def _rest(self, controller: Controller) -> None:
        controller.enqueue(self._packer.flush())


class DecompressionStream(TransformStream):
    """Raises TypeError for what is not of that format, or breaks off."""

    def __init__(self, format: str) -> None:
        super().__init__(transform=self._unpacked, flush=self._whole)
        self._unpacker = zlib.decompressobj(wbits=_window(format))

    async def _unpacked(self, chunk: object, controller: Controller) -> None:
        data = to_bytes(chunk)
        while data:
            try:
                piece = self._unpacker.decompress(data, _PIECE_BYTES)
            except zlib.error:
                raise TypeError("Decompression failed.") from None
            data = self._unpacker.unconsumed_tail
            if piece:
                controller.enqueue(piece)
            if self._unpacker.eof:
                if self._unpacker.unused_data:
                    raise TypeError("Trailing bytes after end of compressed data")
                return
            await controller.room()

    def _whole(self, controller: Controller) -> None:
        if not self._unpacker.eof:
            raise TypeError("Called close() on a decompression stream with incomplete data")


class TextEncoderStream(TransformStream):
    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__(transform=lambda chunk, controller: controller.enqueue(to_bytes(chunk)))


class TextDecoderStream(TransformStream):
    """What it decodes leaves as UTF-8, since a stream carries bytes."""

    def __init__(self, label: str = "utf-8", options: Mapping[str, object] | None = None, **more: object) -> None:
        super().__init__(transform=self._decoded, flush=self._rest)
        self._decoder = TextDecoder(label, options, **more)
        self.encoding = self._decoder.encoding

    def _decoded(self, chunk: object, controller: Controller) -> None:
        if text := self._decoder.decode(to_bytes(chunk), stream=True):
            controller.enqueue(text)

    def _rest(self, controller: Controller) -> None:
        if text := self._decoder.decode():
            controller.enqueue(text)


__all__ = ["CompressionStream", "DecompressionStream", "TextDecoderStream", "TextEncoderStream"]
