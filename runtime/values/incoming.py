"""The wire → Python, as upstream's SDK converts what a binding answers.

An object is a ``JsDict``, an array a ``JsArray``, bytes are a ``memoryview``, a moment is a naive ``datetime`` in local
time, a number without a fraction is an int up to 2**53 - 1, and a float beyond.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from types import NoneType
from typing import Any

import msgspec
from msgspec.msgpack import Ext

from runtime.values import wire
from runtime.values.complaints import complaint
from runtime.values.objects import SAFE_INTEGER, JsDict, JsException
from runtime.values.proxies import JsArray

Other = Callable[[Ext], object]
_AS_IT_IS = frozenset((str, NoneType, bool))
_parse = msgspec.json.Decoder().decode


def from_wire(value: object, other: Other = wire.opened) -> Any:
    """What arrived, as a worker sees it; ``other(extension)`` opens one that is no value of JavaScript's own."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if (nested := _NESTED.get(kind)) is not None:
        return nested(value, other)
    convert = _BY_TYPE.get(kind)
    return value if convert is None else convert(value)


def from_json(text: bytes) -> Any:
    """``JSON.parse``. Raises JsException, a SyntaxError in the words of V8."""
    try:
        return from_wire(_parse(text))
    except (msgspec.MsgspecError, RecursionError):
        return _parsed_slowly(text.decode("utf-8", "replace"))


def _parsed_slowly(text: str) -> object:
    """What msgspec is too strict for, such as half a surrogate pair; else what is wrong with it."""
    try:
        return from_wire(json.loads(text.removeprefix("\ufeff"), parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        raise JsException(complaint(text, error), "SyntaxError") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _list(value: list[object], other: Other) -> JsArray:
    return JsArray([item if type(item) in _AS_IT_IS else from_wire(item, other) for item in value])


def _dict(value: dict[str, object], other: Other) -> JsDict:
    return JsDict({key: item if type(item) in _AS_IT_IS else from_wire(item, other) for key, item in value.items()})


def _integer(value: int) -> int | float:
    return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else float(value)


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() and -SAFE_INTEGER <= value <= SAFE_INTEGER else value


def _moment(value: datetime) -> datetime:
    return value.astimezone().replace(tzinfo=None)


def _extension(value: Ext, other: Other) -> object:
    if value.code == wire.SET:
        return {from_wire(item, other) for item in wire.set_members(value)}
    return other(value)


_NESTED: dict[type, Callable[[Any, Other], object]] = {dict: _dict, list: _list, Ext: _extension}
_BY_TYPE: dict[type, Callable[[Any], object]] = {bytes: memoryview, float: _number, int: _integer, datetime: _moment}

__all__ = ["from_json", "from_wire"]
