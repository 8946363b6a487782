"""What a host's status, the explorer and ``pilot ps`` show of each engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bindings.ai.service import AIService, PooledClient
from runtime.processes import memory_of


def engine_rows(service: AIService) -> Sequence[dict[str, Any]]:
    """``live``: requests in hand; ``models``: which it answers for, of those that were asked for."""
    return [_row(client, service.ids_of(client.spec)) for client in service.pool.clients]


def _row(client: PooledClient, ids: Sequence[str]) -> dict[str, Any]:
    memory = memory_of(client.pid) if client.pid else None
    return {
        "name": client.name,
        "state": client.state,
        "live": client.live,
        "device": client.info.device if client.info else None,
        "memory_mb": None if memory is None else round(memory / 1e6),
        "up_s": None if client.up_s is None else round(client.up_s),
        "models": ", ".join(ids),
    }


__all__ = ["engine_rows"]
