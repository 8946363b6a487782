"""What JavaScript makes of a value that came over the wire: text, by ``String(value)`` or ``JSON.stringify``, and whole
numbers."""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.msgpack import Ext

from runtime.values import wire
from runtime.values.objects import SAFE_INTEGER

if TYPE_CHECKING:
    from decimal import Decimal


def js_string(value: object) -> str:
    """``String(value)``: ``"null"``, ``"1.5"``, ``"a,b"`` of an array, ``"[object Object]"``."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list):
        return ",".join("" if item is None else js_string(item) for item in value)
    if isinstance(value, bytes):
        return ",".join(map(str, value))
    opened = wire.opened(value)
    return str(opened) if isinstance(opened, int | Exception) else "[object Object]"


def js_integer(value: object) -> int:
    """Of a number, or of its text; 0 for whatever is none."""
    try:
        return int(float(value)) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0


def stringify(value: object) -> str:
    """``JSON.stringify(value)`` without spaces. Raises TypeError for a BigInt."""
    return json.dumps(_jsonable(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return {str(at): byte for at, byte in enumerate(value)}
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z"
    if isinstance(value, Ext):
        if value.code == wire.BIGINT:
            raise TypeError("Do not know how to serialize a BigInt")
        return {}
    return value


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    whole = isinstance(value, int) or (value.is_integer() and abs(value) <= SAFE_INTEGER)
    return str(int(value)) if whole else _shortest(value)


def _shortest(value: float) -> str:
    """ECMA-262, Number::toString: digits up to 1e21, an exponent without a zero in front."""
    text = repr(value)
    mantissa, mark, exponent = text.partition("e")
    if not mark or -7 < int(exponent) < 21:
        return format(_decimal(text), "f").removesuffix(".0")
    return f"{mantissa.removesuffix('.0')}e{int(exponent):+d}"


def _decimal(text: str) -> Decimal:
    from decimal import Decimal  # for numbers that hardly anybody has

    return Decimal(text)


__all__ = ["js_integer", "js_string", "stringify"]
