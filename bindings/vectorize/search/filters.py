"""A query's ``filter``, checked and applied.

``{"city": "Paris", "price": {"$gte": 1, "$lt": 5}, "tag": {"$in": ["a", "b"]}, "place.country": {"$ne": None}}``:
all of it must hold. Keys with dots and nested objects name nested properties. A property without a metadata index is
missing in every vector; a missing one equals null and nothing else.

https://developers.cloudflare.com/vectorize/reference/metadata-filtering/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias, cast

import msgspec
import numpy as np

from bindings.vectorize.errors import INVALID, VectorizeError
from bindings.vectorize.search.columns import Column, Mask, Operator, Scalar, indexable, is_number

MAX_FILTER_BYTES = 2048  # as compact JSON, exclusive
MAX_KEY_CHARACTERS = 512
RANGES = ("$lt", "$lte", "$gt", "$gte")
LOWER, UPPER = {"$gt", "$gte"}, {"$lt", "$lte"}
Operand: TypeAlias = Scalar | Sequence[Scalar | None] | None


class Condition(NamedTuple):
    property: str
    operator: str
    operand: Operand


def parse_filter(given: object) -> list[Condition]:
    """The conditions, which must all hold; none where ``given`` is None."""
    if given is None:
        return []
    if not isinstance(given, dict) or not given:
        raise _invalid("must be an object that is not empty")
    try:
        size = len(msgspec.json.encode(given))
    except (TypeError, ValueError, RecursionError):
        raise _invalid("must be JSON") from None
    if size >= MAX_FILTER_BYTES:
        raise _invalid(f"must be smaller than {MAX_FILTER_BYTES} bytes; it has {size}")
    return list(_conditions(given, ""))


def _conditions(given: Mapping[object, object], prefix: str) -> Iterator[Condition]:
    for key, value in given.items():
        if not isinstance(key, str) or not key or '"' in key or key.startswith("$") or len(key) > MAX_KEY_CHARACTERS:
            raise _invalid(
                f'has a bad key "{key}": not empty, no ", no leading $, at most {MAX_KEY_CHARACTERS} characters'
            )
        name = prefix + key
        if not isinstance(value, dict):
            yield Condition(name, "$eq", _scalar(name, "$eq", value))
        elif value and all(isinstance(test, str) and test.startswith("$") for test in value):
            yield from _operations(name, cast("dict[str, object]", value))
        else:
            if not value:
                raise _invalid(f'has no operator for "{name}"')
            yield from _conditions(value, f"{name}.")


def _operations(name: str, given: Mapping[str, object]) -> Iterator[Condition]:
    tests = set(given)
    if len(tests) > 1 and not (len(tests) == 2 and tests & LOWER and tests & UPPER):
        raise _invalid(f'combines {", ".join(sorted(tests))} for "{name}": only a lower and an upper bound go together')
    for test, operand in given.items():
        if test in ("$in", "$nin"):
            if not isinstance(operand, list):
                raise _invalid(f'has {test} for "{name}" without a list')
            yield Condition(name, test, [_scalar(name, test, item) for item in operand])
        elif test in ("$eq", "$ne") or (test in RANGES and (isinstance(operand, str) or is_number(operand))):
            yield Condition(name, test, _scalar(name, test, operand))
        elif test in RANGES:
            raise _invalid(f'has {test} for "{name}" without a number or a string')
        else:
            raise _invalid(f'has an unknown operator {test} for "{name}": $eq, $ne, $in, $nin, {", ".join(RANGES)}')


def _scalar(name: str, test: str, given: object) -> Scalar | None:
    if given is not None and not isinstance(given, (str, int, float)):
        raise _invalid(f'has {test} for "{name}" with neither a string, a number, a boolean nor null')
    return cast("Scalar | None", indexable(given))


def apply_filter(conditions: Sequence[Condition], columns: Mapping[str, Column], size: int) -> Mask | None:
    """Which of the first ``size`` rows meet all conditions; None: all of them."""
    mask: Mask | None = None
    for condition in conditions:
        passing = _apply(condition, columns.get(condition.property), size)
        mask = passing if mask is None else mask & passing
    return mask


def _apply(condition: Condition, column: Column | None, size: int) -> Mask:
    _, test, operand = condition
    if test in ("$ne", "$nin"):
        positive = "$eq" if test == "$ne" else "$in"
        return ~_apply(condition._replace(operator=positive), column, size)
    if test == "$in":
        alternatives = (_equals(column, item, size) for item in cast("Sequence[Scalar | None]", operand))
        return np.asarray(np.logical_or.reduce([np.zeros(size, np.bool_), *alternatives]), np.bool_)
    if test == "$eq":
        return _equals(column, cast("Scalar | None", operand), size)
    if column is None:
        return np.zeros(size, np.bool_)
    return column.compare(cast(Operator, test), cast(Scalar, operand), size)


def _equals(column: Column | None, operand: Scalar | None, size: int) -> Mask:
    if operand is None:
        return np.ones(size, np.bool_) if column is None else column.missing(size)
    return np.zeros(size, np.bool_) if column is None else column.compare("$eq", operand, size)


def _invalid(text: str) -> VectorizeError:
    return VectorizeError(INVALID, f"filter {text}", "VECTOR_QUERY")


__all__ = ["Condition", "apply_filter", "parse_filter"]
