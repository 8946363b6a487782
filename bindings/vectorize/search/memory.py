"""What a search needs of an index, in memory: rows without gaps, by position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from bindings.vectorize.search.columns import Coded, Column, new_column
from bindings.vectorize.search.filters import Condition, apply_filter
from bindings.vectorize.search.matrix import Floats, Match, Matrix
from bindings.vectorize.settings import Metric, PropertyType


class Memory:
    def __init__(self, dimensions: int, metric: Metric, properties: Mapping[str, PropertyType]) -> None:
        self.matrix = Matrix(dimensions, metric)
        self.columns: dict[str, Column] = {name: new_column(kind) for name, kind in properties.items()}
        self._namespaces = Coded(str)
        self.ids: list[str] = []
        self.position_of: dict[str, int] = {}

    def put(self, id: str, values: Floats, namespace: str | None, indexed: bytes | None) -> None:
        """Add a vector, or replace the one of this id."""
        position = self.position_of.get(id)
        if position is None:
            self.extend([id], values.reshape(1, -1), [namespace], [indexed])
        else:
            self.matrix.set(position, values.reshape(1, -1))
            self._describe(position, namespace, indexed)

    def extend(
        self, ids: Sequence[str], values: Floats, namespaces: Sequence[str | None], indexed: Sequence[bytes | None]
    ) -> None:
        """Add vectors of new ids, a row of ``values`` each."""
        first = len(self.ids)
        self.matrix.set(first, values)
        self.ids.extend(ids)
        for position, (id, namespace, properties) in enumerate(zip(ids, namespaces, indexed, strict=True), first):
            self.position_of[id] = position
            self._describe(position, namespace, properties)

    def _describe(self, position: int, namespace: str | None, indexed: bytes | None) -> None:
        self._namespaces.set(position, namespace)
        properties = msgspec.json.decode(indexed) if indexed else {}
        for name, column in self.columns.items():
            column.set(position, properties.get(name))

    def remove(self, id: str) -> None:
        """The last vector takes its position."""
        position, last = self.position_of.pop(id), len(self.ids) - 1
        self.matrix.move_last(position)
        for column in (self._namespaces, *self.columns.values()):
            column.move(last, position)
        moved = self.ids.pop()
        if moved != id:
            self.ids[position] = moved
            self.position_of[moved] = position

    def add_property(self, name: str, kind: PropertyType) -> None:
        """Vectors that are there already do not take part in it."""
        self.columns[name] = column = new_column(kind)
        for position in range(len(self.ids)):
            column.set(position, None)

    def search(
        self, query: Floats, top_k: int, namespace: str | None, conditions: Sequence[Condition]
    ) -> list[tuple[str, Match]]:
        size = len(self.ids)
        mask = apply_filter(conditions, self.columns, size)
        if namespace is not None:
            inside = self._namespaces.compare("$eq", namespace, size)
            mask = inside if mask is None else np.logical_and(mask, inside)
        return [(self.ids[match.row], match) for match in self.matrix.search(query, top_k, mask)]


__all__ = ["Memory"]
