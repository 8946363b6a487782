"""JSON as Python's ``json`` reads and writes it, by msgspec wherever that says the same."""

from __future__ import annotations

import json
import re
from gc import get_referents
from math import isfinite
from typing import Any

import msgspec

_SCALARS = frozenset({str, int, float, bool, type(None)})
_NESTED = frozenset({dict, list, tuple})
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_null = re.compile(b"null").search  # half of what ``in`` takes


def parse(content: bytes) -> Any:
    """What is UTF-8 nowhere reads as U+FFFD. Raises ``json.JSONDecodeError``, which is a ``ValueError``."""
    try:
        return _decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # it is stricter, as with NaN; or it is no JSON
        return json.loads(as_text(content))


def as_text(content: bytes) -> str:
    return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


def written(value: object) -> bytes:
    """Without spaces; half a surrogate pair is escaped. Raises ``ValueError`` for what has no end or no number,
    ``TypeError`` for what is no JSON."""
    try:
        text = _encode(value)
        if _is_plain(value, not _null(text)):
            return text
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        pass
    spelled = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return spelled.encode("utf-8", "backslashreplace")  # which of a surrogate is JSON's own escape


def _is_plain(value: object, finite: bool) -> bool:
    """Whether JSON has all of what msgspec has written: that would be dates and sets, too, and NaN, as null, unless all
    is known to be ``finite``. A level at a time, for what is done to each value would take longer than writing it."""
    level: list[Any] = [value]
    while kinds := set(map(type, level)):
        if not finite and float in kinds and not isfinite(sum(each for each in level if type(each) is float)):
            return False
        nested = kinds - _SCALARS
        if not nested:
            return True
        if nested != kinds:
            level = [each for each in level if type(each) in nested]
        if not nested <= _NESTED and not _make_exact(level):
            return False
        items = get_referents(*level)
        if len(items) != sum(map(len, level)):  # a dict refers to its keys as well if they are not all text
            return False
        level = items
    return True


def _make_exact(level: list[Any]) -> bool:
    """What is called otherwise in the place of a dict or list made anew. False: it is neither."""
    for at, each in enumerate(level):
        kind = type(each)
        if isinstance(each, dict) and kind.items is dict.items:
            level[at] = dict(each)
        elif isinstance(each, list | tuple):
            level[at] = list(each)
        else:
            return False
    return True


__all__ = ["as_text", "parse", "written"]
