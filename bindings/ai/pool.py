"""Every engine of one supervisor: equal specs share a process, and a process outlives every reload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from bindings.ai.client import EngineClient, Say
from bindings.ai.engine import EngineSpec
from bindings.ai.process import Log

DRAIN = 60.0  # seconds that streams have to finish on an engine that is wanted no more


class EnginePool:
    """``get`` starts what is missing; ``reconcile`` ends what no configuration asks for any more."""

    def __init__(
        self, say: Say, *, load_timeout: float = 600.0, log: Log | None = None, metrics: bool = False
    ) -> None:
        self._say, self._load_timeout, self._log = say, load_timeout, log
        self._metrics = metrics  # have engines keep their own
        self._clients: dict[bytes, EngineClient] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def clients(self) -> list[EngineClient]:
        return list(self._clients.values())

    def get(self, spec: EngineSpec) -> EngineClient:
        """The engine for ``spec``, which begins to load if it is new."""
        client = self._clients.get(_key(spec))
        if client is None:
            client = EngineClient(
                spec, self._say, load_timeout=self._load_timeout, log=self._log, metrics=self._metrics)
            self._clients[_key(spec)] = client
        client.start()
        return client

    async def reconcile(self, specs: Iterable[EngineSpec]) -> None:
        """Keep the engines of ``specs`` as they are and retire the others: their streams finish first."""
        wanted = {_key(spec) for spec in specs}
        for key in self._clients.keys() - wanted:
            task = asyncio.create_task(self._retire(self._clients.pop(key)))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        """End every process, all at once, within the seconds a client takes."""
        self._closing = True
        clients, self._clients = self.clients, {}
        await asyncio.gather(*self._leaving, *(client.aclose() for client in clients))

    async def _retire(self, client: EngineClient) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN):
                while client.live and not self._closing:  # noqa: ASYNC110 (nobody is in a hurry)
                    await asyncio.sleep(0.1)
        await client.aclose()


def _key(spec: EngineSpec) -> bytes:
    """A spec's options are a dict, which cannot be hashed."""
    return msgspec.json.encode(spec, order="deterministic")


__all__ = ["EnginePool"]
