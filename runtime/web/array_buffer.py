"""ArrayBuffer: bytes that a worker was given, with the names that Pyodide's proxy of one has."""

from __future__ import annotations


class ArrayBuffer(bytes):
    """Bytes; ``to_bytes()``, ``to_py()``, ``byteLength`` and the like besides."""

    __slots__ = ()

    def to_bytes(self) -> bytes:
        return bytes(self)

    def to_py(self, **_: object) -> memoryview:
        return memoryview(self)

    to_memoryview = to_py

    def to_string(self, encoding: str | None = None) -> str:
        return self.decode(encoding or "utf-8")

    def slice(self, start: int = 0, end: int | None = None) -> ArrayBuffer:
        return ArrayBuffer(self[start:end])

    subarray = slice

    @property
    def byteLength(self) -> int:
        return len(self)

    @property
    def length(self) -> int:
        return len(self)

    @property
    def byteOffset(self) -> int:
        return 0

    @property
    def buffer(self) -> ArrayBuffer:
        return self


__all__ = ["ArrayBuffer"]
