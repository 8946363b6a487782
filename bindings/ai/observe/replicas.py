"""Replicas as Prometheus has them, read off the groups at each scrape; nothing where no row has replicas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.replicas.group import Replicas
from runtime.metrics import Counter, gauges

if TYPE_CHECKING:  # not needed before the first scrape
    from prometheus_client import Metric

Values = defaultdict[tuple[str, ...], float]


def replica_families(groups: Sequence[Replicas], name_of: Callable[[EngineSpec], str]) -> list[Metric]:
    """``name_of``: the model's id."""
    if not groups:
        return []
    named = [(name_of(group.spec), group) for group in groups]
    states, load, wanted = Values(float), Values(float), Values(float)
    for name, group in named:
        wanted[name,] = group.wanted
        for index, client in group.members.items():
            states[name, state_of(client)] += 1
            load[name, str(index), client.room.node] = client.load
    retries = Counter("pilot_ai_retries", "Requests that a second replica was asked for, unseen.", "model")
    passed = Counter("pilot_ai_choices_past_first", "Requests whose own replica was too busy.", "model")
    restarts = Counter("pilot_ai_replica_restarts", "Replicas that were started again.", "model", "replica")
    for name, group in named:
        retries.add(name, by=group.retries)
        passed.add(name, by=group.passed)
        for index, client in group.members.items():
            restarts.add(name, str(index), by=client.restarts)
    return [
        gauges("pilot_ai_replicas", "Replicas of a model, by state.", ("model", "state"), states),
        gauges("pilot_ai_replicas_wanted", "Replicas that there should be.", ("model",), wanted),
        gauges("pilot_ai_replica_requests", "Requests in hand.", ("model", "replica", "node"), load),
        retries.family(), passed.family(), restarts.family(),
    ]  # fmt: skip


def state_of(client: EngineClient) -> str:
    """As it is shown: ``pending`` while a cluster looks for its place, too."""
    return "pending" if client.state == "loading" and client.room.detail else client.state


__all__ = ["replica_families", "state_of"]
