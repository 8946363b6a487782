"""A data point, as it is kept. https://developers.cloudflare.com/analytics/analytics-engine/limits/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

BLOBS = DOUBLES = 20
MAX_BLOB_BYTES = 16 * 1024  # of all blobs of a point together
MAX_INDEX_BYTES = 96


class Point(NamedTuple):
    """``blobs`` and ``doubles`` have BLOBS and DOUBLES items."""

    index1: str
    blobs: Sequence[str]
    doubles: Sequence[float]


def parse_point(given: object) -> Point:
    """``{"blobs": [...], "doubles": [...], "indexes": ["one"]}``. Raises ValueError for what the service drops."""
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ValueError("is no object")
    blobs = [_text(value, "blobs") for value in _list(given, "blobs", BLOBS)]
    doubles = [_number(value) for value in _list(given, "doubles", DOUBLES)]
    indexes = [_text(value, "indexes") for value in _list(given, "indexes", 1)]
    if sum(len(blob.encode()) for blob in blobs) > MAX_BLOB_BYTES:
        raise ValueError(f"has more than {MAX_BLOB_BYTES} bytes of blobs")
    if any(len(index.encode()) > MAX_INDEX_BYTES for index in indexes):
        raise ValueError(f"has an index of more than {MAX_INDEX_BYTES} bytes")
    return Point(indexes[0] if indexes else "", _filled(blobs, "", BLOBS), _filled(doubles, 0.0, DOUBLES))


def _list(given: Mapping[str, Any], name: str, limit: int) -> Sequence[object]:
    values = given.get(name) or []
    if not isinstance(values, list):
        raise ValueError(f"has {name} that are no list")
    if len(values) > limit:
        raise ValueError(f"has {len(values)} {name}; {limit} are the most")
    return values


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise ValueError(f"has {name} that are neither text nor bytes")


def _number(value: object) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise ValueError("has doubles that are no numbers")


def _filled(values: Sequence[Any], rest: object, count: int) -> Sequence[Any]:
    return [*values, *[rest] * (count - len(values))]


__all__ = ["BLOBS", "DOUBLES", "Point", "parse_point"]
