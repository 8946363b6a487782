"""ArrayBuffer and Uint8Array, as Pyodide's ``JsBuffer``."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import IO, Any, Self

from runtime.web.array_buffer import BufferNames


class JsBuffer(bytearray, BufferNames):
    """Bytes of JavaScript's: a ``bytearray`` with the names of an ArrayBuffer's and of a ``JsBuffer``'s.

    ``JsBuffer.new(...)`` takes what ``new Uint8Array(...)`` does: a length, bytes, or numbers, of which the low eight
    bits count.
    """

    BYTES_PER_ELEMENT = 1

    @classmethod
    def new(cls, content: int | bytes | Iterable[int] = b"", offset: int = 0, length: int | None = None) -> Self:
        if not isinstance(content, int | bytes | bytearray | memoryview):
            content = bytes(int(number) & 0xFF for number in content)
        whole = cls(content)
        return (
            whole if not offset and length is None else cls(whole[offset : None if length is None else offset + length])
        )

    @classmethod
    def of(cls, *numbers: int) -> Self:
        return cls.new(numbers)

    from_ = locals()["from"] = new

    def set(self, content: bytes | Iterable[int], offset: int = 0) -> None:
        """Raises JavaScript's RangeError, as a ValueError, for what does not fit."""
        added = type(self).new(content)
        if offset < 0 or offset + len(added) > len(self):
            raise ValueError("RangeError: offset is out of bounds")
        self[offset : offset + len(added)] = added

    def at(self, index: int) -> int | None:
        """None beyond its ends."""
        return self[index] if -len(self) <= index < len(self) else None

    def fill(self, number: int, start: int = 0, end: int | None = None) -> Self:
        part = range(*slice(start, end).indices(len(self)))
        self[part.start : part.stop] = bytes([int(number) & 0xFF]) * len(part)
        return self

    def includes(self, number: int) -> bool:
        return number in self

    def indexOf(self, number: int) -> int:
        return self.find(number)

    def toString(self) -> str:
        return ",".join(map(str, self))

    def to_py(self, **_: object) -> memoryview:
        return memoryview(bytes(self))

    def to_memoryview(self) -> memoryview:
        return memoryview(bytes(self))

    def to_string(self, encoding: str | None = None) -> str:
        return self.decode(encoding or "utf-8")

    @staticmethod
    def isView(value: object) -> bool:
        return isinstance(value, (bytearray, array))

    def assign(self, source: bytes | memoryview) -> None:
        """Raises ValueError for bytes that are fewer or more."""
        given = memoryview(source).tobytes()
        if len(given) != len(self):
            raise ValueError(f"cannot assign {len(given)} bytes to a buffer of {len(self)}")
        self[:] = given

    def from_file(self, file: IO[Any]) -> None:
        """As many of its bytes as there are and fit."""
        part = file.read(len(self))
        self[: len(part)] = part

    def to_file(self, file: IO[Any]) -> None:
        file.write(self)

    _into_file = to_file

    def assign_to(self, target: bytearray | memoryview) -> None:
        memoryview(target).cast("B")[:] = self

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


__all__ = ["JsBuffer"]
