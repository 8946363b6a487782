"""The vectors of an index in memory, one row each, and the search over them: exact, one matrix product a query.

Rows of a cosine index have length 1, so that its scores are products as well. The product is of 32-bit floats; the
best rows by it are scored anew in 64 bits, which settles their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bindings.vectorize.search.columns import Mask, with_room
from bindings.vectorize.settings import Metric

Floats = NDArray[np.float32]
SPARE_CANDIDATES = 32  # beyond topK: what rounding may have put behind the last place
BLOCK_ROWS = 64
FEW = 8  # a filter that leaves less than one row in FEW is searched by these rows alone


class Match(NamedTuple):
    row: int
    score: float


class Matrix:
    def __init__(self, dimensions: int, metric: Metric) -> None:
        self.metric, self.size = metric, 0
        self._rows = np.zeros((0, dimensions), np.float32)
        self._squares = np.zeros(0, np.float32)  # euclidean: |row|²

    def set(self, row: int, values: Floats) -> None:
        """``values`` are those of ``row`` and of the rows behind it."""
        end = row + len(values)
        self._rows, self._squares = with_room(self._rows, end - 1), with_room(self._squares, end - 1)
        self._rows[row:end] = units(values) if self.metric == "cosine" else values
        if self.metric == "euclidean":
            self._squares[row:end] = np.square(values).sum(axis=1)
        self.size = max(self.size, end)

    def move_last(self, target: int) -> None:
        """The last row takes the place of ``target``, which is gone."""
        self.size -= 1
        self._rows[target], self._squares[target] = self._rows[self.size], self._squares[self.size]

    def search(self, query: Floats, top_k: int, mask: Mask | None) -> list[Match]:
        """The best ``top_k`` of the rows in ``mask``, best first; of equal ones the one that was added first."""
        query = units(query.reshape(1, -1))[0] if self.metric == "cosine" else query
        rows = None if mask is None else np.flatnonzero(mask)
        if rows is not None and len(rows) * FEW > self.size:
            approximate = self._nearness(query, self._rows[: self.size], self._squares[: self.size])[rows]
        elif rows is not None:
            approximate = self._nearness(query, self._rows[rows], self._squares[rows])
        else:
            approximate = self._nearness(query, self._rows[: self.size], self._squares[: self.size])
        candidates = best(approximate, top_k + SPARE_CANDIDATES)
        return self._exact(query, candidates if rows is None else rows[candidates])[:top_k]

    def _nearness(self, query: Floats, rows: Floats, squares: Floats) -> Floats:
        """More is nearer."""
        products: Floats = rows @ query
        return 2 * products - squares if self.metric == "euclidean" else products

    def _exact(self, query: Floats, rows: NDArray[np.intp]) -> list[Match]:
        values, wide = self._rows[rows].astype(np.float64), query.astype(np.float64)
        if self.metric == "euclidean":
            scores = np.sqrt(np.square(values - wide).sum(axis=1))
            order = np.lexsort((rows, scores))
        else:
            scores = values @ wide
            order = np.lexsort((rows, -scores))
        return [Match(int(rows[place]), float(np.float32(scores[place]))) for place in order]


def units(rows: Floats) -> Floats:
    """Each row with length 1; of length 0 where it is all 0."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths, lengths, 1), np.float32)


def best(scores: Floats, count: int) -> NDArray[np.intp]:
    """The rows of the ``count`` largest, in no order. They lie in the ``count`` blocks with the largest maxima: to find
    those first takes a fifth of the time."""
    if count * BLOCK_ROWS * 2 > len(scores):
        return _largest(scores, count)
    whole = len(scores) // BLOCK_ROWS * BLOCK_ROWS
    blocks = _largest(scores[:whole].reshape(-1, BLOCK_ROWS).max(axis=1), count)
    rows = (blocks[:, np.newaxis] * BLOCK_ROWS + np.arange(BLOCK_ROWS)).ravel()
    rows = np.concatenate((rows, np.arange(whole, len(scores))))
    return np.asarray(rows[_largest(scores[rows], count)], np.intp)


def _largest(scores: Floats, count: int) -> NDArray[np.intp]:
    if count >= len(scores):
        return np.arange(len(scores))
    return np.argpartition(scores, len(scores) - count)[-count:]


def as_floats(values: Sequence[float]) -> Floats:
    return np.asarray(values, np.float32)


__all__ = ["Floats", "Match", "Matrix", "as_floats"]
