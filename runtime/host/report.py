"""What lives on a host, for ``pilot status``: every version that is open, whoever holds it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from bindings import products
from bindings.base import Product
from runtime.host.fleet import Fleet
from runtime.host.versions.opened import Held
from runtime.host.worker import Worker

_COUNTED = "requests", "failed", "isolates"


def workers(fleet: Fleet, prefix: str, others: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """One row per worker, those that are not deployed yet, or no more, among them. ``others``: what other fronts
    report."""
    held: dict[str, list[Held]] = {name: [] for name in fleet.workers}
    for one in fleet.versions:
        held.setdefault(one.row.worker, []).append(one)
    rows = [_row(name, fleet.workers.get(name), found, f"{prefix}{name}/") for name, found in held.items()]
    for row in rows:
        for counts in filter(None, (other["workers"].get(row["name"]) for other in others)):
            for key, count in zip(_COUNTED, counts, strict=True):
                row[key] += count
    return rows


def fronts(number: int) -> str:
    """What a person is told at the start: which of a worker's bindings are where."""
    named = [product for product in products() if product.worker_type != Product.worker_type]
    of = {kind: ", ".join(it.label for it in named if it.fronts == kind) for kind in ("calls", "first")}
    return (
        f"{number} fronts. Workers with {of['first']} run on the first alone, and so do all events and the host's own "
        f"routes. Other workers run on each, and call the first for {of['calls']} and the Cache API; models are the "
        f"first's, and their tokens come straight from them"
    )


def of_fronts(fleet: Fleet, others: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each."""
    rows = [
        {"front": 1, "process": os.getpid(), "workers": sum(it.rollout is not None for it in fleet.workers.values())}
    ]
    return rows + [{"front": it["number"], "process": it["pid"], "workers": len(it["workers"])} for it in others]


def _row(name: str, worker: Worker | None, held: Sequence[Held], url: str) -> dict[str, Any]:
    arms = worker.rollout.arms if worker is not None and worker.rollout is not None else ()
    answering = {arm.row.id for arm in arms}
    state = "serving" if arms else "broken" if worker is not None and worker.broken else "empty"
    return {
        "name": name,
        "state": state,
        "url": url,
        "version": worker.version if worker is not None else 0,
        "isolates": sum(one.isolates for one in held),
        "requests": sum(arm.answered for arm in arms),
        "failed": sum(arm.failed for arm in arms),
        "open": [
            {"id": one.row.id, "version": one.row.number, "state": _state(one, answering), "isolates": one.isolates}
            for one in held
        ],
    }


def _state(held: Held, answering: set[str]) -> str:
    if held.leaving:
        return "finishing"
    return "answering" if held.row.id in answering else "waiting" if held.opening.done() else "beginning"


__all__ = ["fronts", "of_fronts", "workers"]
