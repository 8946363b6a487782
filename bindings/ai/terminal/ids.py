"""Which model is meant."""

from __future__ import annotations

from collections.abc import Sequence

from bindings.ai.catalog.resolve import Catalog
from runtime.errors import UserError
from runtime.hints import closest


def full_id(catalog: Catalog, name: str) -> str:
    """The id that is meant by itself, or by its last part alone."""
    ids = [model.id for model in catalog.models()]
    if name in ids:
        return name
    ends = [id for id in ids if id.rpartition("/")[2] == name]
    if len(ends) == 1:
        return ends[0]
    close = ends or _near(name, ids)
    hint = f"Did you mean {' or '.join(close)}?\n" if close else ""
    raise UserError("there is no such model", where=name, remedy=f"{hint}pilot models   lists those there are")


def _near(name: str, ids: Sequence[str]) -> list[str]:
    """Ids that resemble it, or whose last parts do or begin so."""
    known: dict[str, str] = {}
    for id in ids:
        end = id.rpartition("/")[2]
        for part in (id, end, end[: len(name)]):
            known.setdefault(part, id)
    return list(dict.fromkeys(known[part] for part in closest(name, known, 5, alike=0.75)))[:3]


__all__ = ["full_id"]
