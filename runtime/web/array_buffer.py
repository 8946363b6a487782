"""ArrayBuffer: bytes that a worker was given, with the names that Pyodide's proxy of one has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Self


class BufferNames:
    """JavaScript's names and Pyodide's for what bytes are, whether they can be changed or not."""

    __slots__ = ()
    if TYPE_CHECKING:

        def __init__(self, content: bytes | bytearray = b"", /) -> None: ...
        def __len__(self) -> int: ...
        def __bytes__(self) -> bytes: ...
        def __getitem__(self, index: slice, /) -> bytes | bytearray: ...

    @property
    def byteLength(self) -> int:
        return len(self)

    @property
    def length(self) -> int:
        return len(self)

    @property
    def constructor(self) -> SimpleNamespace:
        return SimpleNamespace(name="ArrayBuffer" if isinstance(self, bytes) else "Uint8Array")

    @property
    def byteOffset(self) -> int:
        return 0

    @property
    def buffer(self) -> Self:
        return self

    def slice(self, start: int = 0, end: int | None = None) -> Self:
        return type(self)(self[start:end])

    subarray = slice

    def to_bytes(self) -> bytes:
        return bytes(self)


class ArrayBuffer(bytes, BufferNames):
    """Bytes; ``to_bytes()``, ``to_py()``, ``byteLength`` and the like besides."""

    __slots__ = ()

    def to_py(self, **_: object) -> memoryview:
        return memoryview(self)

    to_memoryview = to_py

    def to_string(self, encoding: str | None = None) -> str:
        return self.decode(encoding or "utf-8")


__all__ = ["ArrayBuffer", "BufferNames"]
