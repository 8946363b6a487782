"""Values as an instance keeps them: msgpack of what crosses to a binding. Only a worker's process looks into them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.msgpack import Ext

from runtime.values import JsException, from_wire, to_wire
from runtime.values.wire import OPAQUE, opened

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


def packed(value: object) -> bytes:
    """Raises TypeError, and JsException, for what cannot be kept."""
    wire = to_wire(value)
    _refuse_opaque(wire)
    return _encode(wire)


def unpacked(content: bytes) -> Any:
    return from_wire(_decode(content))


def _refuse_opaque(value: object) -> None:
    if type(value) is Ext and value.code == OPAQUE:
        raise JsException(f"{opened(value)} could not be cloned.", "DataCloneError")
    if isinstance(value, list):
        for item in value:
            _refuse_opaque(item)
    elif isinstance(value, dict):
        for item in value.values():
            _refuse_opaque(item)


__all__ = ["packed", "unpacked"]
