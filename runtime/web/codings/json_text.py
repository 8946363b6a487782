"""JSON as Python's ``json`` reads and writes it, by msgspec wherever that says the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from math import isfinite
from typing import Any

import msgspec

_SCALARS = frozenset({str, int, bool, type(None)})
_TEXT, _FLOAT = frozenset({str}), frozenset({float})
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def parse(content: bytes) -> Any:
    """What is UTF-8 nowhere reads as U+FFFD. Raises ``json.JSONDecodeError``, which is a ``ValueError``."""
    try:
        return _decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # it is stricter, as with NaN; or it is no JSON
        return json.loads(as_text(content))


def as_text(content: bytes) -> str:
    return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def written(value: object) -> bytes | str:
    """Without spaces. Raises ``ValueError`` for what has no end or no number, ``TypeError`` for what is no JSON."""
    try:
        if _are_plain((value,)):
            return _encode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _are_plain(values: Iterable[Any]) -> bool:
    """Whether JSON has all of it: msgspec would write dates, sets and NaN, too."""
    for value in values:
        kind = type(value)
        if kind in _SCALARS:
            continue
        if kind is float:
            if not isfinite(value):
                return False
        elif isinstance(value, dict):
            plain = kind.items is dict.items and _TEXT.issuperset(map(type, value))
            if not (plain and _are_plain(value.values())):
                return False
        elif not (isinstance(value, list | tuple) and _is_plain_list(value)):
            return False
    return True


def _is_plain_list(values: Collection[Any]) -> bool:
    if _FLOAT.issuperset(map(type, values)):  # a vector
        return isfinite(sum(values))
    return _are_plain(values)


__all__ = ["as_text", "parse", "written"]
