"""A form with one large file, written to disk as it comes: never is it in memory whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from bindings.ai.error_table import TOO_LARGE
from bindings.ai.errors import ModelError, bad_input, unreadable_body
from runtime.errors import RequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

T = TypeVar("T")
BATCH_BYTES = 1 << 20  # handed to the thread that parses and writes
MAX_FIELD_BYTES = 1000  # of a field that is not the file; only its name is read


async def receive(chunks: AsyncIterator[bytes], content_type: str, file: Path, limit: int) -> str:
    """Write the form's part ``file`` to ``file``, and return its field ``file_name``.

    Raises ModelError 5006 for a malformed form, 3006 for a file of more than ``limit`` bytes.
    """
    with await asyncio.to_thread(open, file, "wb") as out:
        form = _Form(_boundary(content_type), out, limit)
        async for batch in _batches(chunks):
            await asyncio.to_thread(form.feed, batch)
        return form.end()


async def _batches(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held = bytearray()
    try:
        async for chunk in chunks:
            held += chunk
            if len(held) >= BATCH_BYTES:
                yield bytes(held)
                held.clear()
    except RequestError as error:
        raise unreadable_body(error) from None
    yield bytes(held)


def _boundary(content_type: str) -> bytes:
    from python_multipart.multipart import parse_options_header  # slow to import, seldom needed

    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise bad_input("the body must be multipart/form-data with the fields 'file_name' and 'file'")
    return options[b"boundary"]


class _Form:
    """The parser's callbacks. ``out`` gets the part named ``file``; of the others only ``file_name`` is kept."""

    def __init__(self, boundary: bytes, out: BinaryIO, limit: int) -> None:
        from python_multipart.multipart import MultipartParser

        self._out, self._limit, self._size = out, limit, 0
        self._header = self._value = b""
        self._part, self._files, self._ended = "", 0, False
        self._name = bytearray()
        self._parser = _parsed(lambda: MultipartParser(boundary, self._callbacks()))

    def feed(self, data: bytes) -> None:
        _parsed(lambda: self._parser.write(data))

    def end(self) -> str:
        """The field ``file_name``. Raises ModelError 5006 when the form is not complete."""
        _parsed(self._parser.finalize)
        if not self._ended:
            raise bad_input("the form ends before its last boundary")
        if not self._files or not self._name:
            raise bad_input("required properties at '/' are 'file_name,file'")
        return self._name.decode("utf-8", "replace")

    def _callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_header,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_part,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._part, self._header, self._value = "", b"", b""

    def _on_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        if self._header.lower() == b"content-disposition":
            self._part = parse_options_header(self._value)[1].get(b"name", b"").decode("utf-8", "replace")
        self._header = self._value = b""

    def _on_part(self) -> None:
        self._files += self._part == "file"
        if self._files > 1:
            raise bad_input("the form has more than one 'file'")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "file":
            self._size += end - start
            if self._size > self._limit:
                raise ModelError(TOO_LARGE, f"{TOO_LARGE.text}: a file has at most {self._limit} bytes")
            self._out.write(data[start:end])
        elif self._part == "file_name":
            self._name += data[start:end]
            if len(self._name) > MAX_FIELD_BYTES:
                raise bad_input(f"file_name has more than {MAX_FIELD_BYTES} bytes")

    def _on_end(self) -> None:
        self._ended = True


def _parsed(step: Callable[[], T]) -> T:
    from python_multipart.exceptions import FormParserError

    try:
        return step()
    except FormParserError as error:
        raise bad_input(f"malformed multipart/form-data: {error}") from None


__all__ = ["receive"]
