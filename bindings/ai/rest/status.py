"""What a host's status, the explorer and ``pilot ps`` show of each engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bindings.ai.engine.client import EngineClient
from bindings.ai.observe.replicas import state_of
from bindings.ai.replicas.gpus import Share
from bindings.ai.replicas.group import Replicas
from bindings.ai.service import AIService
from runtime.processes import memory_of


def engine_rows(service: AIService) -> Sequence[dict[str, Any]]:
    """``live``: requests in hand; ``models``: which it answers for, of those that were asked for.

    A row per process. Where a model has replicas, each row says which it is, and why it does not serve.
    """
    pool = service.pool
    rows = [_row(client, service.ids_of(client.spec)) for client in pool.clients]
    if not pool.groups:
        return rows
    idle = [_idle(group, service.ids_of(group.spec)) for group in pool.groups if not group.members]
    return [*({**row, **_as_replica(client)} for row, client in zip(rows, pool.clients, strict=True)), *idle]


def _row(client: EngineClient, ids: Sequence[str]) -> dict[str, Any]:
    memory = memory_of(client.pid) if client.pid else None
    return {
        "name": client.name,
        "state": state_of(client),
        "live": client.live,
        "device": client.info.device if client.info else None,
        "memory_mb": None if memory is None else round(memory / 1e6),
        "up_s": None if client.up_s is None else round(client.up_s),
        "models": ", ".join(ids),
    }


def _as_replica(client: EngineClient) -> dict[str, Any]:
    room = client.room
    why = room.detail if client.state != "failed" else client.error
    gpus = ",".join(room.devices) if isinstance(room, Share) and room.is_held else None
    of = {"replica": client.replica, "node": room.node or None, "gpus": gpus, "restarts": client.restarts}
    return {**of, "why": str(why or "") or None}


def _idle(group: Replicas, ids: Sequence[str]) -> dict[str, Any]:
    """A model whose replicas have all gone: its next request begins one."""
    row = {"name": group.name, "state": "idle", "live": 0, "device": None, "memory_mb": None, "up_s": None}
    return {**row, "models": ", ".join(ids), "replica": None, "node": None, "gpus": None, "restarts": 0, "why": None}


__all__ = ["engine_rows"]
