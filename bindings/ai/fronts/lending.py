"""At the first front: engines that another front asks by itself. Which one, whether it is loaded and what makes way for
it is decided here, at each request; the tokens go past this process."""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placement
from bindings.ai.service import AIService


class EngineLending:
    """To one front: its leases, by numbers of its own."""

    def __init__(self, service: AIService) -> None:
        self._service = service
        self._lent: dict[int, EngineClient] = {}

    async def answer(self, op: str, args: list[Any]) -> object:
        """``lease``: where the engine of a spec listens, or one of its replicas, which is in use from now on. Raises
        EngineError."""
        number, spec, placement, ids, root, lost, retried = args
        self._service.know(ids)
        engine = self._service.pool.get(msgspec.convert(spec, EngineSpec), msgspec.convert(placement, Placement | None))
        client = await engine.lendable(root, lost, retried) if isinstance(engine, Replicas) else engine
        assert isinstance(client, EngineClient)
        where = await client.lend()
        self._lent[number] = client
        return {"replica": client.replica, "node": client.room.node, **where}

    def note(self, op: str, args: list[Any]) -> None:
        """``returned``: a lease is over, or was not waited for."""
        if (client := self._lent.pop(args[0], None)) is not None:
            client.given_back()

    def close(self) -> None:
        """The front is gone."""
        for client in self._lent.values():
            client.given_back()
        self._lent.clear()


__all__ = ["EngineLending"]
