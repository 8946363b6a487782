"""What becomes here of each key that Wrangler knows: it follows from what products declare, and ``config.effects``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from bindings import products
from bindings.deploying import IDLE_FIELDS
from bindings.unserved import UNSERVED
from runtime.checking.upstream import upstream
from runtime.config.effects import IDLE, NOT_SERVED, SERVED
from runtime.config.keys import keys_of

State = Literal["served", "idle", "refused", "not served", "unknown"]


class Fate(msgspec.Struct, frozen=True):
    """``state``: ``idle`` changes nothing here, ``refused`` stops, ``not served`` is warned of, ``unknown`` too."""

    key: str
    state: State
    text: str


def fate(key: str) -> Fate:
    if (product := next((product for product in products() if product.key == key), None)) is not None:
        return Fate(key, "served", product.label)
    if (what := UNSERVED.get(key)) is not None:
        return Fate(key, "not served", what.said.removeprefix("is "))
    tables: Mapping[State, Mapping[str, str]] = {"served": SERVED, "idle": IDLE, "not served": NOT_SERVED}
    for state, table in tables.items():
        if key in table:
            return Fate(key, state, table[key])
    return Fate(key, "unknown", "no key that Wrangler or Pilotlight knows: it is ignored")


def fates() -> Iterator[Fate]:
    """Of every key of Wrangler's schema, and of the fields of its table."""
    for key, fields in upstream().keys.items():
        whole = fate(key)
        yield whole
        for field in fields:
            yield _field(whole, key, field)


def _field(whole: Fate, key: str, field: str) -> Fate:
    name = f"{key}.{field}"
    product = next((product for product in products() if product.key == key), None)
    known = keys_of(key)
    if product is None:
        return Fate(name, whole.state, "as the whole")
    if known is not None and field not in known:
        return Fate(name, "unknown", "not known here: it is warned of, and ignored")
    why = product.idle.get(field) or IDLE_FIELDS.get(field)
    if why is None:
        return Fate(name, "served", "")
    return Fate(name, "refused" if field == "remote" else "idle", why)


__all__ = ["Fate", "fate", "fates"]
