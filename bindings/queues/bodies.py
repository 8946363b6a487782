"""A message's body, from a producer's hands to bytes and back. It runs in the worker's process.

Facts, and what gets lost on the way: docs/reference/bindings.md#queues.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec.msgpack import Ext

from runtime.values import JsException, from_json, from_wire, js_string, stringify, to_wire
from runtime.values.wire import OPAQUE

_pack, _unpack = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
T = TypeVar("T")
CODE = "(15000)"  # of upstream's words for everything that cannot be sent


def encode(body: object, content_type: object) -> tuple[str, bytes]:
    """(type, bytes). Raises JsException with upstream's words, and TypeError for what cannot be sent at all."""
    kind = "json" if content_type is None else js_string(to_wire(content_type))
    value = to_wire(body)
    if kind == "json":
        return kind, _json(value)
    if kind == "text":
        return kind, _expected(value, str, kind, "string").encode("utf-8", "replace")
    if kind == "bytes":
        return kind, _expected(value, bytes, kind, "ArrayBufferView")
    if kind == "v8":
        return kind, _clone(value)
    raise JsException(f"Unsupported queue message content type: {kind}", "TypeError")


def decode(kind: str, body: bytes) -> object:
    """What the consumer sees."""
    if kind == "json":
        return from_json(body)
    if kind == "text":
        return body.decode("utf-8", "replace")
    return memoryview(body) if kind == "bytes" else from_wire(_unpack(body))


def _json(value: object) -> bytes:
    try:
        return stringify(value).encode("utf-8", "replace")
    except (TypeError, RecursionError) as error:
        raise JsException(f"{error} {CODE}") from None


def _clone(value: object) -> bytes:
    if (name := _opaque(value)) is not None:
        raise JsException(f"a {name} cannot be cloned {CODE}")
    return _pack(value)


def _opaque(value: object) -> str | None:
    """The type of something in it that has no plain value."""
    if isinstance(value, Ext):
        return bytes(value.data).decode("utf-8", "replace") if value.code == OPAQUE else None
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((name for item in inside if (name := _opaque(item)) is not None), None)


def _expected(value: object, kind: type[T], name: str, wanted: str) -> T:
    if not isinstance(value, kind):
        what = f'Content Type "{name}" requires a value of type {wanted}, but received: {_typeof(value)}'
        raise JsException(what, "TypeError")
    return value


def _typeof(value: object) -> str:
    if isinstance(value, str):
        return "string"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "object"


__all__ = ["CODE", "decode", "encode"]
