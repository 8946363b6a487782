"""Blob and File (File API standard): bytes that have a type, and a name."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from runtime.web.array_buffer import ArrayBuffer
from runtime.web.scope import as_javascript
from runtime.web.streams import BUFFERS, ReadableStream, to_bytes

_Bytes = bytes
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_LINE_END = re.compile(rb"\r\n?|\n")


class BlobEnding(StrEnum):
    """What becomes of line ends in text: they stay, or are this system's."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


class Blob:
    """``Blob(["text", b"bytes", other_blob], "text/plain")``, or of one such part. It never changes.

    The options may also come as a dict in second place, as in JavaScript. One Blob alone hands its type on.
    """

    __slots__ = ("_content", "type")

    type: str

    def __init__(
        self, parts: object = (), content_type: str | Mapping[str, Any] | None = None, endings: str | None = None, *,
        type: str | None = None,
    ) -> None:  # fmt: skip
        options = dict(content_type) if isinstance(content_type, Mapping) else {"type": content_type}
        kind = type or options.get("type") or (parts.type if isinstance(parts, Blob) else "")
        native = (endings or options.get("endings")) == BlobEnding.NATIVE
        self._content: _Bytes = b"".join(_part(part, native) for part in _parts(parts))
        self.type = kind.lower() if _PRINTABLE.fullmatch(kind) else ""

    @property
    def content_type(self) -> str:
        return self.type

    @property
    def js_object(self) -> object:
        return as_javascript(self)

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._content)

    async def text(self) -> str:
        return self._content.decode("utf-8", "replace")

    async def bytes(self) -> _Bytes:
        return self._content

    async def array_buffer(self) -> ArrayBuffer:
        """``bytes()``, with the names of Pyodide's proxy of an ArrayBuffer."""
        return ArrayBuffer(self._content)

    def stream(self) -> ReadableStream:
        return ReadableStream(self._content)

    def slice(
        self, start: int | None = 0, end: int | None = None, content_type: str | None = None, *, type: str = ""
    ) -> Blob:
        """Bytes ``start`` to ``end``, counted as Python counts: from the end when negative."""
        return Blob([self._content[start:end]], type=content_type or type)

    def __bytes__(self) -> _Bytes:
        return self._content

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return f"<{self.__class__.__name__} of {self.size} bytes, type {self.type!r}>"

    arrayBuffer = array_buffer


class File(Blob):
    """A Blob with a ``name`` and ``last_modified``, in ms since 1970: ``File([b"..."], "cat.png")``."""

    __slots__ = ("last_modified", "name")

    last_modified: int

    def __init__(
        self, parts: object, name: str | None = None, content_type: str | Mapping[str, Any] | None = None,
        endings: str | None = None, last_modified: int | None = None, *, type: str | None = None,
        filename: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(parts, content_type, endings, type=type)
        options = content_type if isinstance(content_type, Mapping) else {}
        given = options.get("lastModified") if last_modified is None else last_modified
        if given is None and isinstance(parts, File):
            given = parts.last_modified
        if (called := filename if name is None else name) is None:
            raise TypeError('a File has a name: File([content], "name.txt")')
        self.name = str(called)
        self.last_modified = int(time.time() * 1000) if given is None else int(given)

    @property
    def lastModified(self) -> int:
        return self.last_modified


def _parts(given: object) -> Iterable[object]:
    alone = isinstance(given, (str, bytes, bytearray, memoryview, Blob)) or not isinstance(given, Iterable)
    return [given] if alone else given  # type: ignore[return-value]


def _part(part: object, native: bool) -> bytes:
    if isinstance(part, Blob):
        return part._content
    if not isinstance(part, (str, *BUFFERS)):
        raise TypeError(f"Don't know how to handle {type(part)} for Blob()")
    data = to_bytes(part)
    return _LINE_END.sub(os.linesep.encode(), data) if native and isinstance(part, str) else data


__all__ = ["Blob", "BlobEnding", "File"]
