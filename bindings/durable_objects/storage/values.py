"""What an object may keep, and what it reads: structured clones for keys, SQLite's types for SQL.

Facts: docs/reference/bindings.md#durable-objects.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from runtime.values import JsBigInt, JsException, Opaque, from_wire, js_string, opened, to_wire, well_formed
from runtime.wire.frames import encode_well_formed

SAFE_INTEGER = 2**53 - 1
NOT_CLONED = "[object Object] could not be cloned."
NO_BIGINT = "Cannot convert a BigInt value to a number"
_decode = msgspec.msgpack.Decoder().decode
_PLAIN = frozenset((str, bytes, int, float, bool, type(None)))


def cloned(value: object) -> bytes:
    """As it is kept. Raises TypeError, JsException (DataCloneError) for what cannot be."""
    sent = to_wire(value)
    if type(sent) not in _PLAIN:
        _check(sent)
    return encode_well_formed(sent)


def read(kept: bytes) -> Any:
    return from_wire(_decode(kept))


def _check(sent: object) -> None:
    kind = type(sent)
    if kind is dict:
        for item in sent.values():  # type: ignore[attr-defined]
            if type(item) not in _PLAIN:
                _check(item)
    elif kind is list:
        for item in sent:  # type: ignore[attr-defined]
            if type(item) not in _PLAIN:
                _check(item)
    elif kind is Ext:
        found = opened(sent)
        if isinstance(found, Opaque):
            raise JsException(NOT_CLONED, "DataCloneError")
        for member in found if isinstance(found, list) else ():
            _check(member)


def text(value: object) -> str:
    """A key, a name: ``String(value)``."""
    return _well_formed(value if type(value) is str else js_string(to_wire(value)))


def _well_formed(value: str) -> str:
    return value if value.isascii() else well_formed(value)


def bound(value: object) -> float | str | bytes | None:
    """As SQLite is given it: a number is a double, what has no type there is text. Raises TypeError, JsException."""
    kind = type(value)
    if kind is str:
        return _well_formed(value)  # type: ignore[arg-type]
    sent = to_wire(value)
    if sent is None or isinstance(sent, bytes):
        return sent
    if isinstance(sent, bool):
        return js_string(sent)
    if isinstance(sent, int | float):
        number = float(sent)
        return None if math.isnan(number) else number
    found = opened(sent)
    if isinstance(found, JsBigInt):
        raise JsException(NO_BIGINT, "TypeError")
    if isinstance(found, datetime):
        return f"{found:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)"
    return _well_formed(js_string(sent))


def column(value: Any) -> Any:
    """A column's value as a worker reads it."""
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and -SAFE_INTEGER <= value <= SAFE_INTEGER else value
    if kind is int:
        return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else float(value)
    return memoryview(value) if kind is bytes else value


__all__ = ["bound", "cloned", "column", "read", "text"]
