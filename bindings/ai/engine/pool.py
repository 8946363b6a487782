"""Every engine of one supervisor: equal specs share a process, and a process outlives every reload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from bindings.ai.engine.client import EngineClient, Terminal
from bindings.ai.engine.process import Log
from bindings.ai.engine.protocol import EngineSpec

DRAIN_S = 60.0  # that streams have to finish on an engine that is wanted no more


class EnginePool:
    """``get`` starts what is missing; ``reconcile`` ends what no configuration asks for any more."""

    def __init__(
        self,
        terminal: Terminal,
        *,
        load_timeout: float = 600.0,
        log: Log | None = None,
        metrics: bool = False,
        max_engines: int | None = None,
    ) -> None:
        self._terminal, self._load_timeout, self._log = terminal, load_timeout, log
        self._metrics = metrics  # have engines keep their own
        self._max_engines = max_engines  # engines at a time; None: as many as are asked for
        self._clients: dict[bytes, EngineClient] = {}  # the one asked for last is the last
        self._pinned: set[bytes] = set()
        self._room = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def clients(self) -> list[EngineClient]:
        return list(self._clients.values())

    def get(self, spec: EngineSpec) -> EngineClient:
        """The engine for ``spec``, which begins to load if it is new."""
        key = _key(spec)
        client = self._clients.pop(key, None) or self._new(spec)
        self._clients[key] = client
        client.start()
        return client

    def keep(self, specs: Iterable[EngineSpec]) -> None:
        """These never make room for others."""
        self._pinned = {_key(spec) for spec in specs}

    def _new(self, spec: EngineSpec) -> EngineClient:
        is_full = self._max_engines is not None and len(self._clients) >= self._max_engines
        return EngineClient(
            spec,
            self._terminal,
            load_timeout=self._load_timeout,
            log=self._log,
            metrics=self._metrics,
            before_load=self._make_room if is_full else None,
        )

    async def _make_room(self) -> None:
        """End the engine that was asked for longest ago, once nobody waits for it or reads from it."""
        async with self._room:
            while len(self._clients) > (self._max_engines or 0) and not self._closing:
                if (key := next(filter(self._may_go, self._clients), None)) is None:
                    await asyncio.sleep(0.1)
                    continue
                client = self._clients.pop(key)
                self._terminal.progress_done(client.name, f"{client.name} makes room for another model")
                await client.aclose()

    def _may_go(self, key: bytes) -> bool:
        client = self._clients[key]
        return key not in self._pinned and not client.is_in_use and client.state not in ("idle", "loading")

    async def reconcile(self, specs: Iterable[EngineSpec]) -> None:
        """Keep the engines of ``specs`` as they are and retire the others: their streams finish first."""
        kept = {_key(spec) for spec in specs}
        for key in self._clients.keys() - kept:
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
            async with asyncio.timeout(DRAIN_S):
                while client.live and not self._closing:  # noqa: ASYNC110 (nobody is in a hurry)
                    await asyncio.sleep(0.1)
        await client.aclose()


def _key(spec: EngineSpec) -> bytes:
    """A spec's options are a dict, which cannot be hashed."""
    return msgspec.json.encode(spec, order="deterministic")


__all__ = ["EnginePool"]
