"""``structuredClone``. HTML standard, 2.7."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from datetime import datetime
from types import NoneType
from typing import Any, TypeVar, cast

T = TypeVar("T")

_IMMUTABLE = (str, bytes, int, float, bool, NoneType, datetime)
_COPIED = (bytearray, BaseException)


class DataCloneError(Exception):
    """What cannot be cloned: a function, for instance."""


def structuredClone(value: T, options: object = None) -> T:
    """A copy all the way down; what the value holds twice, or of itself, is so in the copy. Raises DataCloneError."""
    return cast(T, _clone(value, {}))


def _clone(value: object, seen: dict[int, Any]) -> object:
    if isinstance(value, _IMMUTABLE):
        return value
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, _COPIED):
        return seen.setdefault(id(value), copy(value))
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Mapping):
        return _filled(value, seen)
    if isinstance(value, list):
        items = seen[id(value)] = []
        items += [_clone(item, seen) for item in value]
        return items
    if isinstance(value, set):
        return {_clone(item, seen) for item in value}
    raise DataCloneError(f"{value!r:.80} could not be cloned.")


def _filled(value: Mapping[Any, Any], seen: dict[int, Any]) -> object:
    made = seen[id(value)] = type(value)() if isinstance(value, dict) else {}
    for key, item in value.items():
        made[key] = _clone(item, seen)
    return made


__all__ = ["DataCloneError", "structuredClone"]
