"""``python_to_rpc`` and ``python_from_rpc``: between the types of ``workers`` and of Python and those of ``js``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import js  # type: ignore[import-not-found,unused-ignore]
from pyodide.ffi import create_proxy  # type: ignore[attr-defined,import-not-found,unused-ignore]

from runtime import web
from runtime.values import JsArray, JsBuffer, JsDict, JsException, jsnull, to_wire
from runtime.values.dates import Date

_WRAPPED = (web.Request, web.Response, web.FormData, web.Blob)  # of which a File is one
_BYTES = (bytes, bytearray, memoryview)


def sent(value: object) -> object:
    """What is sent of ``value``. Raises TypeError for what cannot be."""
    to_wire(value)
    return _sent(value)


def _sent(value: object) -> object:
    if value is None:
        return jsnull
    if isinstance(value, dict):
        return JsDict({name: _sent(item) for name, item in dict.items(value)})
    if isinstance(value, list):
        return JsArray(_sent(item) for item in value)
    if isinstance(value, set | frozenset):
        return js.Set.new(map(_sent, value))
    if isinstance(value, _BYTES):
        return value if isinstance(value, JsBuffer) else JsBuffer(value)
    return _one_sent(value)


def _one_sent(value: object) -> object:
    if isinstance(value, _WRAPPED):
        return value.js_object
    if isinstance(value, datetime):
        return Date.new(value)
    if isinstance(value, Exception) and not isinstance(value, JsException):
        return js.Error.new(str(value))
    return create_proxy(value) if isinstance(value, Callable) and not isinstance(value, type) else value  # type: ignore[arg-type]


def received(value: object) -> object:
    """What ``value`` is in Python, with None for null, and dicts whose keys are attributes."""
    if value is jsnull:
        return None
    if isinstance(value, dict):
        return JsDict({name: received(item) for name, item in dict.items(value)})
    if isinstance(value, list):
        return [received(item) for item in value]
    if isinstance(value, set):
        return {received(item) for item in value}
    return _one_received(value)


def _one_received(value: object) -> object:
    if isinstance(value, JsBuffer):
        return value.to_py()
    if isinstance(value, Date):
        return value.toDatetime().astimezone().replace(tzinfo=None)  # local, as the SDK has it
    if isinstance(value, JsException):
        return Exception(str(value))
    if isinstance(value, _WRAPPED) and type(value).__module__ == "js":
        return getattr(value, "_of", None) or _wrapped(value)
    return value


def _wrapped(value: object) -> object:
    """Of an object of ``js`` the one of ``workers``."""
    if isinstance(value, web.File):
        return web.File(value, value.name)
    cls: Any = next(kind for kind in _WRAPPED if isinstance(value, kind))
    return cls(value)


__all__ = ["received", "sent"]
