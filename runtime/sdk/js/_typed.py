"""Typed arrays of more than a byte per number, and DataView."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable
from typing import Any, Self

from runtime.values import Named
from runtime.values.buffers import JsBuffer


class _TypedArray(array, Named):  # type: ignore[type-arg]
    """Numbers of one width: ``new(length)``, ``new([1, 2])``, ``new(buffer)``."""

    code = "b"

    def __new__(cls, content: int | Iterable[Any] = 0) -> Self:
        if isinstance(content, int):
            content = bytes(content * struct.calcsize(cls.code))
        elif isinstance(content, array):
            content = content.tolist()
        return super().__new__(
            cls, cls.code, bytes(content) if isinstance(content, (bytearray, memoryview)) else content
        )

    @classmethod
    def new(cls, content: int | Iterable[Any] = 0) -> Self:
        return cls(content)

    @classmethod
    def of(cls, *numbers: float) -> Self:
        return cls(numbers)

    from_ = locals()["from"] = new

    @property
    def length(self) -> int:
        return len(self)

    @property
    def byteLength(self) -> int:
        return len(self) * self.itemsize

    @property
    def buffer(self) -> JsBuffer:
        return JsBuffer(self.tobytes())

    def set(self, numbers: Iterable[Any], offset: int = 0) -> None:
        added = array(self.typecode, numbers)
        if offset + len(added) > len(self):
            raise ValueError("RangeError: offset is out of bounds")
        self[offset : offset + len(added)] = added

    def fill(self, number: float, start: int = 0, end: int | None = None) -> Self:
        for index in range(*slice(start, end).indices(len(self))):
            self[index] = number
        return self

    def subarray(self, start: int = 0, end: int | None = None) -> Self:
        return type(self)(self[start:end])

    slice = subarray

    def to_py(self, **_: object) -> memoryview:
        return memoryview(self)

    to_memoryview = to_py

    def to_bytes(self) -> bytes:
        return self.tobytes()


_CODES = {
    "Int8Array": "b", "Int16Array": "h", "Uint16Array": "H", "Int32Array": "i", "Uint32Array": "I",
    "Float32Array": "f", "Float64Array": "d", "BigInt64Array": "q", "BigUint64Array": "Q",
}  # fmt: skip
globals().update({
    name: type(name, (_TypedArray,), {"code": code, "__module__": "js", "BYTES_PER_ELEMENT": struct.calcsize(code)})
    for name, code in _CODES.items()
})  # fmt: skip
_VIEWED = {
    "Int8": "b", "Uint8": "B", "Int16": "h", "Uint16": "H", "Int32": "i", "Uint32": "I", "Float32": "f", "Float64": "d",
    "BigInt64": "q", "BigUint64": "Q",
}  # fmt: skip


class DataView:
    """``getUint16(offset, littleEndian)`` and its like on a buffer; big-endian unless told."""

    def __init__(self, buffer: bytearray | memoryview, offset: int = 0, length: int | None = None) -> None:
        self.buffer, self.byteOffset = buffer, offset
        self._view = memoryview(buffer).cast("B")[offset : None if length is None else offset + length]

    @classmethod
    def new(cls, buffer: bytearray | memoryview, offset: int = 0, length: int | None = None) -> DataView:
        return cls(buffer, offset, length)

    @property
    def byteLength(self) -> int:
        return len(self._view)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        code = _VIEWED.get(name[3:])
        if name[:3] == "get" and code:
            return lambda offset, little=False: struct.unpack_from(_order(little) + code, self._view, offset)[0]
        if name[:3] == "set" and code:
            return lambda offset, value, little=False: struct.pack_into(
                _order(little) + code, self._view, offset, value
            )
        raise AttributeError(name)


def _order(little: bool) -> str:
    return "<" if little else ">"
