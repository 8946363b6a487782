"""Blob and File (File API standard): bytes that have a type, and a name."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Any

from runtime.web.streams import ReadableStream, to_bytes

_Bytes = bytes
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


class Blob:
    """``Blob(["text", b"bytes", other_blob], type="text/plain")``. It never changes."""

    __slots__ = ("_content", "type")

    def __init__(self, parts: Iterable[Any] = (), *, type: str = "") -> None:
        if isinstance(parts, (str, _Bytes)):
            raise TypeError("Blob takes a list of parts: Blob([content])")
        self._content: _Bytes = b"".join(p._content if isinstance(p, Blob) else to_bytes(p) for p in parts)
        self.type = type.lower() if _PRINTABLE.fullmatch(type) else ""

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self._content)

    async def text(self) -> str:
        return self._content.decode("utf-8", "replace")

    async def bytes(self) -> _Bytes:
        return self._content

    async def array_buffer(self) -> _Bytes:
        """The same as ``bytes()``: Python has no ArrayBuffer."""
        return self._content

    def stream(self) -> ReadableStream:
        return ReadableStream(self._content)

    def slice(self, start: int = 0, end: int | None = None, type: str = "") -> Blob:
        """Bytes ``start`` to ``end``, counted as Python counts: from the end when negative."""
        return Blob([self._content[start:end]], type=type)

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

    def __init__(self, parts: Iterable[Any], name: str, *, type: str = "", last_modified: int | None = None) -> None:
        super().__init__(parts, type=type)
        self.name = str(name)
        self.last_modified = int(time.time() * 1000) if last_modified is None else last_modified

    @property
    def lastModified(self) -> int:
        return self.last_modified
