"""What may be bound to a statement, and what a row's values are for a worker. Runs in the isolate and the supervisor.

D1 knows JavaScript's values alone: each number is a double, a boolean is 1 or 0, a blob is read as a list of numbers.
Facts: docs/reference/bindings.md#d1-values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

from runtime.values import JsBigInt, JsException, js_string, opened, to_wire, well_formed

SAFE_INTEGER = 2**53 - 1
_AS_IT_IS, _INTEGERS, _FLOATS = {str, type(None)}, {int}, {float}
UNSUPPORTED = "Type '{type}' not supported for value '{value}'"


def bound(value: object) -> float | str | bytes | None:
    """As SQLite is given it. Raises TypeError for what cannot be sent, JsException for what D1 does not take."""
    sent = to_wire(value)
    if isinstance(sent, str):
        return sent if sent.isascii() else well_formed(sent)
    if isinstance(sent, bool | int | float):
        number = float(sent)
        return number if math.isfinite(number) else None
    if sent is None or isinstance(sent, bytes):
        return sent
    if isinstance(sent, list) and all(map(_is_byte, sent)):
        return bytes(map(int, sent))
    raise _unsupported(sent)


def read(value: object) -> object:
    """A column's value: an integer beyond JavaScript's is a float, a whole float is an int, infinity is None."""
    kind = type(value)
    if kind is float:
        return _number(value)  # type: ignore[arg-type]
    if kind is int:
        return value if -SAFE_INTEGER <= value <= SAFE_INTEGER else float(value)  # type: ignore[operator, arg-type]
    return list(value) if kind is bytes else value  # type: ignore[call-overload]


def read_rows(rows: Sequence[Sequence[object]]) -> Iterator[Sequence[object]]:
    """All values of rows. Column by column: most columns have one type, and need nothing."""
    return zip(*map(_read_column, zip(*rows, strict=True)), strict=True)


def _read_column(values: Sequence[object]) -> Sequence[object]:
    kinds = set(map(type, values))
    if kinds <= _AS_IT_IS:
        return values
    if kinds == _INTEGERS and min(values) >= -SAFE_INTEGER and max(values) <= SAFE_INTEGER:  # type: ignore[type-var, operator]
        return values
    return list(map(_number if kinds == _FLOATS else read, values))  # type: ignore[arg-type]


def _number(value: float) -> float | int | None:
    if value.is_integer() and -SAFE_INTEGER <= value <= SAFE_INTEGER:
        return int(value)
    return value if math.isfinite(value) else None


def _is_byte(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 256


def _unsupported(sent: object) -> JsException:
    value = opened(sent)
    if isinstance(value, JsBigInt):
        text = UNSUPPORTED.format(type="bigint", value=int(value))
    elif isinstance(value, datetime):
        text = UNSUPPORTED.format(
            type="object", value=f"{value:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)"
        )
    else:
        text = UNSUPPORTED.format(type="object", value=js_string(sent))
    return JsException(f"D1_TYPE_ERROR: {text}", cause=JsException(text))


__all__ = ["bound", "read", "read_rows"]
