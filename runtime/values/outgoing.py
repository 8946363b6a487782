"""Python → the wire, as upstream's SDK converts what a worker gives to a binding.

None is null; an int from 2**53 - 1 on is a BigInt; a float with no fraction is the number without it, as in
JavaScript. A tuple, a bytearray and an awaitable are refused by ``TypeError`` before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import NoneType
from typing import Any

from runtime.values import wire
from runtime.values.buffers import JsBuffer
from runtime.values.dates import Date
from runtime.values.maps import JsMap
from runtime.values.objects import SAFE_INTEGER, JsBigInt, JsDict, JsNull
from runtime.values.proxies import JsArray

Other = Callable[[object], object]
_AS_IT_IS = frozenset((str, bytes, NoneType, bool))


def to_wire(value: object, other: Other = wire.opaque) -> Any:
    """``value`` as the wire can carry it; ``other(found)`` says what becomes of something in it that has no plain
    value. Raises TypeError, with upstream's text, for what cannot be sent."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    try:
        if (nested := _NESTED.get(kind)) is not None:
            return nested(value, other)
        if (convert := _BY_TYPE.get(kind)) is not None:
            return convert(value)
        return _by_base(value, other)
    except RecursionError:
        raise TypeError("the value holds itself, or is nested too deeply, and cannot be sent") from None


def _integer(value: int) -> object:
    return int(value) if -SAFE_INTEGER < value < SAFE_INTEGER else wire.bigint(value)


def _number(value: float) -> object:
    whole = value.is_integer() and -SAFE_INTEGER <= value <= SAFE_INTEGER
    return int(value) if whole else float(value)


def _list(value: list[object], other: Other) -> list[Any]:
    return [item if type(item) in _AS_IT_IS else to_wire(item, other) for item in value]


def _dict(value: dict[object, object], other: Other) -> dict[str, Any]:
    return {
        key if type(key) is str else _key(key): item if type(item) in _AS_IT_IS else to_wire(item, other)
        for key, item in value.items()
    }


def _key(key: object) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int | float):
        return str(to_wire(float(key)))
    raise TypeError(f"{type(key)} cannot be the key of an object.")


def _set(value: set[object], other: Other) -> object:
    return wire.set_of([to_wire(item, other) for item in value])


def _moment(value: datetime) -> datetime:
    """Milliseconds, as a Date has them; a naive one is local time."""
    moment = value.astimezone(UTC).replace(microsecond=value.microsecond // 1000 * 1000)
    return moment if type(moment) is datetime else datetime.combine(moment.date(), moment.timetz())  # no subclass


def _error(value: BaseException) -> object:
    return wire.error_of("Error", str(value))


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value)} cannot be sent over RPC.")


def _refuse_awaitable(value: object) -> object:
    raise TypeError(f"Awaitable {value!r:.200} cannot be sent over RPC. Did you mean to await it?")


_Convert = Callable[[Any], object]
_BY_TYPE: dict[type, _Convert] = {
    int: _integer,
    float: _number,
    memoryview: bytes,
    datetime: _moment,
    tuple: _refuse,
    bytearray: _refuse,
    JsBigInt: wire.bigint,
    JsNull: lambda value: None,
}
_NESTED: dict[type, Callable[[Any, Other], object]] = {
    list: _list, dict: _dict, set: _set, JsDict: _dict, JsArray: _list, JsMap: _dict,
}  # fmt: skip
_BY_BASE: tuple[tuple[type, _Convert], ...] = (
    (str, str.__str__),
    (JsBigInt, wire.bigint),
    (int, _integer),
    (float, _number),
    (bytes, bytes),
    (tuple, _refuse),
    (JsBuffer, bytes),
    (bytearray, _refuse),
    (datetime, _moment),
    (Date, Date.toDatetime),
    (BaseException, _error),
)


def _by_base(value: object, other: Other) -> object:
    for base, convert in _BY_BASE:
        if isinstance(value, base):
            return convert(value)
    for base, nested in _NESTED.items():
        if isinstance(value, base):
            return nested(value, other)
    if hasattr(value, "__await__"):
        _refuse_awaitable(value)
    return other(value)


__all__ = ["Other", "to_wire"]
