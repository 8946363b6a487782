"""``range``: which part of an object is asked for."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from bindings.base import CallError
from bindings.r2 import errors
from bindings.r2.model import StoredObject
from runtime.values import js_string

_HEADER = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)", re.I)


class Range(NamedTuple):
    """Bytes."""

    offset: int
    length: int


def resolve(given: object, stored: StoredObject) -> Range:
    """An object, or headers as a list of pairs; what is not understood in a header is the whole. Raises R2Error."""
    if isinstance(given, list):
        headers = {str(name).lower(): str(value) for name, value in given}
        return _of_header(headers.get("range", ""), stored.size) or Range(0, stored.size)
    if given is not None and not isinstance(given, dict):
        raise errors.wrong_field("range", "GetOptions", "Range or Headers")
    if given is None or all(value is None for value in given.values()):
        return Range(0, stored.size)
    offset, length, suffix = (_number(given, name) for name in ("offset", "length", "suffix"))
    if suffix is not None:
        if offset is not None or length is not None:
            raise errors.type_error(f"Suffix is incompatible with {'length' if offset is None else 'offset'}.")
        return _suffix(suffix, stored.size)
    return _part(offset or 0, length, stored.size)


def _part(offset: int, length: int | None, size: int) -> Range:
    if offset >= size or length == 0:
        raise errors.bad_range()
    return Range(offset, min(size - offset, size if length is None else length))


def _suffix(suffix: int, size: int) -> Range:
    if not suffix or not size:
        raise errors.bad_range()
    return Range(max(0, size - suffix), min(suffix, size))


def _number(given: dict[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise errors.wrong_field(name, "Range", "number")
    what = {"offset": "range. Starting offset", "length": "range. Length", "suffix": "suffix. Suffix"}[name]
    if not value >= 0:
        raise CallError("RangeError", f"Invalid {what} ({js_string(value)}) must be greater than or equal to 0.")
    if value != int(value):
        raise CallError("RangeError", f"Invalid {what} ({value}) must be an integer, not floating point.")
    return int(value)


def _of_header(text: str, size: int) -> Range | None:
    if (found := _HEADER.fullmatch(text.strip())) is None or not (found[1] or found[2]):
        return None
    first, last = (int(digits) if digits else None for digits in found.groups())
    if first is None:
        return _suffix(last, size) if last and size else None
    if first >= size or (last is not None and last < first):
        return None
    return _part(first, None if last is None else last - first + 1, size)


__all__ = ["Range", "resolve"]
