"""What a query can filter by, as columns beside the vectors: one comparison over all is one numpy operation.

A column is as long as its index has vectors; where a vector has no value, or one of another type, it is missing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from bindings.vectorize.settings import PropertyType

Scalar: TypeAlias = str | float | bool
Mask: TypeAlias = NDArray[np.bool_]
Operator: TypeAlias = Literal["$eq", "$lt", "$lte", "$gt", "$gte"]
COMPARE: dict[Operator, Callable[..., Any]] = {
    "$eq": operator.eq, "$lt": operator.lt, "$lte": operator.le, "$gt": operator.gt, "$gte": operator.ge,
}  # fmt: skip
MAX_INDEXED_BYTES = 64  # of a string
FIRST_CAPACITY = 64  # rows
T = TypeVar("T", bound=np.generic)


def with_room(array: NDArray[T], row: int) -> NDArray[T]:
    """``array``, or one twice as long where it has no place for ``row``."""
    if row < len(array):
        return array
    grown = np.zeros((max(row + 1, 2 * len(array), FIRST_CAPACITY), *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown


class Column(Protocol):
    def set(self, row: int, value: object) -> None: ...

    def move(self, source: int, target: int) -> None: ...

    def missing(self, size: int) -> Mask:
        """Which of the first ``size`` rows have no value."""

    def compare(self, test: Operator, operand: Scalar, size: int) -> Mask:
        """Which of them have one for which ``value test operand`` holds."""


class Numbers:
    """A missing value is nan, which compares as false with everything."""

    def __init__(self) -> None:
        self._values = np.zeros(0, np.float64)

    def set(self, row: int, value: object) -> None:
        self._values = with_room(self._values, row)
        self._values[row] = value if isinstance(value, (int, float)) and is_number(value) else np.nan

    def move(self, source: int, target: int) -> None:
        self._values[target] = self._values[source]

    def missing(self, size: int) -> Mask:
        return np.isnan(self._values[:size])

    def compare(self, test: Operator, operand: Scalar, size: int) -> Mask:
        found = COMPARE[test](self._values[:size], operand) if is_number(operand) else np.zeros(size, np.bool_)
        return np.asarray(found, np.bool_)


class Coded:
    """Strings or booleans: equal values have equal codes, and a test is made once for each distinct value."""

    def __init__(self, kind: type[str] | type[bool]) -> None:
        self._kind = kind
        self._codes = np.zeros(0, np.int32)  # 0: missing
        self._code_of: dict[object, int] = {}

    def set(self, row: int, value: object) -> None:
        self._codes = with_room(self._codes, row)
        known = isinstance(value, self._kind)
        self._codes[row] = self._code_of.setdefault(value, len(self._code_of) + 1) if known else 0

    def move(self, source: int, target: int) -> None:
        self._codes[target] = self._codes[source]

    def missing(self, size: int) -> Mask:
        return np.equal(self._codes[:size], 0)

    def compare(self, test: Operator, operand: Scalar, size: int) -> Mask:
        if not isinstance(operand, self._kind):
            return np.zeros(size, np.bool_)
        if test == "$eq":
            return np.equal(self._codes[:size], self._code_of.get(operand, -1))
        passes = [False, *(COMPARE[test](value, operand) for value in self._code_of)]
        return np.array(passes, np.bool_)[self._codes[:size]]


def new_column(kind: PropertyType) -> Column:
    return Numbers() if kind == "number" else Coded(str if kind == "string" else bool)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def indexable(value: object) -> object:
    """What of a property's value is indexed: of a string the whole characters in its first 64 bytes."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")[:MAX_INDEXED_BYTES].decode(errors="ignore")
    return value if isinstance(value, (int, float, bool)) else None


__all__ = ["Column", "Mask", "Operator", "Scalar", "indexable", "is_number", "new_column", "with_room"]
