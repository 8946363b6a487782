"""What msgpack has no type for, as extensions of it. A moment is msgpack's own timestamp, in UTC."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec.msgpack import Ext

from runtime.values.objects import JsBigInt

BIGINT, SET, ERROR, STREAM, OPAQUE = range(1, 6)
"""A BigInt's digits; a Set's members as an array; [name, message]; [whose, number]; the name of a type."""

CAPABILITY, HEADERS, REQUEST, RESPONSE, BLOB = range(6, 11)
"""In calls between workers alone (``runtime.isolate.calls``): an index in the table beside the payload, and what a
worker's process makes of the others."""

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


class Opaque(NamedTuple):
    """Something that has no plain value: a range, a function, an object. The host's half says what becomes of it."""

    type: str


def bigint(value: int) -> Ext:
    return Ext(BIGINT, str(int(value)).encode())


def set_of(members: list[object]) -> Ext:
    return Ext(SET, _encode(members))


def error_of(name: str, message: str) -> Ext:
    return Ext(ERROR, _encode((name, message)))


def opaque(value: object) -> Ext:
    return Ext(OPAQUE, type(value).__name__.encode("utf-8", "replace"))


def stream_mark(owner: str, number: int) -> Ext:
    """An argument that is a stream: ``owner`` is "mine" (the worker's) or "yours" (the supervisor's)."""
    return Ext(STREAM, _encode((owner, number)))


def stream_named(mark: Ext) -> tuple[str, int]:
    owner, number = _decode(mark.data)
    return str(owner), int(number)


def opened(value: object) -> object:
    """An extension as the Python object it stands for; anything else as it is. Not what is inside of dicts."""
    if type(value) is not Ext:
        return value
    if value.code == BIGINT:
        return JsBigInt(bytes(value.data))
    if value.code == SET:
        return set_members(value)
    if value.code == ERROR:
        return Exception(": ".join(map(str, _decode(value.data))))
    return Opaque(bytes(value.data).decode("utf-8", "replace"))


def set_members(value: Ext) -> list[object]:
    """A Set's members, still as they lie on the wire."""
    members: list[object] = _decode(value.data)
    return members


__all__ = [
    "BIGINT", "BLOB", "CAPABILITY", "ERROR", "HEADERS", "OPAQUE", "REQUEST", "RESPONSE", "SET",
    "STREAM", "Opaque", "bigint", "error_of", "opaque", "opened", "set_members", "set_of", "stream_mark",
    "stream_named",
]  # fmt: skip
