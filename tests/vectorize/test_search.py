"""The search over vectors in memory."""

from __future__ import annotations

import numpy as np
import pytest

from bindings.vectorize.search.matrix import BLOCK_ROWS, Matrix, best
from bindings.vectorize.settings import Metric

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("size", [1, BLOCK_ROWS, 84 * BLOCK_ROWS - 1, 84 * BLOCK_ROWS, 84 * BLOCK_ROWS + 5, 20_000])
def test_the_best_are_those_of_a_full_sort(size: int) -> None:
    random = np.random.default_rng(size)
    for count in (1, 42, 132):
        scores = random.standard_normal(size, np.float32)
        assert set(best(scores, count)) == set(np.argsort(scores)[-count:])


@pytest.mark.parametrize("metric", ["euclidean", "dot-product"])
def test_the_nearest_among_many_equal_vectors(metric: Metric) -> None:
    matrix = Matrix(2, metric)
    matrix.set(0, np.full((20_000, 2), 1, np.float32))
    matrix.set(7, np.array([[3, 3]], np.float32))
    found = matrix.search(np.array([3, 3], np.float32), 3, None)
    assert (found[0].row, len({match.row for match in found})) == (7, 3)
