"""What lives on a host, for ``pilot status``: every version that is open, whoever holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.host.fleet import Fleet
from runtime.host.versions.opened import Held
from runtime.host.worker import Worker


def workers(fleet: Fleet, prefix: str) -> list[dict[str, Any]]:
    """One row per worker, those that are not deployed yet, or no more, among them."""
    held: dict[str, list[Held]] = {name: [] for name in fleet.workers}
    for one in fleet.versions:
        held.setdefault(one.row.worker, []).append(one)
    return [_row(name, fleet.workers.get(name), found, f"{prefix}{name}/") for name, found in held.items()]


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


__all__ = ["workers"]
