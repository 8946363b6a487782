"""Every engine of one supervisor: equal specs share a process, or a group of replicas where they want the same GPUs and
nodes, and outlive every reload."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Protocol

import msgspec

from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.life import Changed, Terminal
from bindings.ai.engine.process import Launch, Log
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.engine.room import Room
from bindings.ai.replicas.displacing import Displacing
from bindings.ai.replicas.gpus import Ledger, Share
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placed, Placement, gpus_needed, of_both, opened

DRAIN_S = 60.0  # that streams have to finish on an engine that is wanted no more

Engine = EngineClient | Replicas
Key = tuple[bytes, bytes]  # a spec, and where it runs


class Elsewhere(Protocol):
    """Other machines (``bindings.ai.cluster.cluster``)."""

    def begin(self) -> None:
        """Find out whether they can be reached, and say so if not."""

    def replica(self, spec: EngineSpec, placement: Placement, index: int) -> tuple[Room, Launch]: ...

    def leave(self) -> None:
        """Replicas that are let go of from here on are wanted still, by whoever comes next."""

    async def aclose(self) -> None: ...


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
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._terminal, self._load_timeout, self._log = terminal, load_timeout, log
        self._metrics = metrics  # have engines keep their own
        self._elsewhere = elsewhere  # where rows with replicas run, if not on this machine
        self._max_engines = max_engines  # engines at a time; None: as many as are asked for
        self._engines: dict[Key, Engine] = {}  # the one asked for last is the last
        self._last: tuple[EngineSpec | None, Placement | None, Key] = None, None, (b"", b"")  # asked for last
        self._pinned: set[bytes] = set()
        self._room = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def clients(self) -> list[EngineClient]:
        """One per process, those of groups among them."""
        return [
            client
            for engine in self._engines.values()
            for client in (engine.members.values() if isinstance(engine, Replicas) else (engine,))
        ]

    @property
    def groups(self) -> list[Replicas]:
        return [engine for engine in self._engines.values() if isinstance(engine, Replicas)]

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger.of_this_machine()

    def get(self, spec: EngineSpec, placement: Placement | None = None) -> Engine:
        """The engine for ``spec``, which begins to load if it is new; as many replicas as any row wants of it."""
        if self._last[0] is not spec or self._last[1] != placement:
            self._last = spec, placement, self._asked(spec, placement)
        key = self._last[2]
        engine = self._engines.pop(key, None) or self._new(spec, placement)
        self._engines[key] = engine
        engine.start()
        return engine

    def keep(self, specs: Iterable[EngineSpec]) -> None:
        """These never make room for others."""
        self._pinned = {_json(spec) for spec in specs}

    def _asked(self, spec: EngineSpec, placement: Placement | None) -> Key:
        key = _key(spec, placement)
        if isinstance(group := self._engines.get(key), Replicas) and placement is not None:
            group.resize(of_both(group.placement, placement))
        return key

    def _new(self, spec: EngineSpec, placement: Placement | None) -> Engine:
        is_full = self._max_engines is not None and len(self._engines) >= self._max_engines
        seat = _Seat(self) if is_full else None
        if placement is None:
            return self._client(spec, seat)
        if self._elsewhere is not None:
            return self._remote(spec, placement, self._elsewhere)
        gpus = gpus_needed(spec, placement)
        if placement.gpus is None and not self.ledger.devices:
            gpus = 0  # vLLM on a machine without: its CPU build
        key = _key(spec, placement)
        others = Displacing(lambda: self._groups_that_may_go(key), lambda: self._serves(key))

        def member(index: int, changed: Changed) -> EngineClient:
            room = Share(self.ledger, gpus, others, before=seat) if gpus else seat
            spec_opened = opened(spec, gpus)
            return self._client(spec, room, replica=index, opened=spec_opened, changed=changed)

        return Replicas(spec, placement, member, load_timeout=self._load_timeout)

    def _remote(self, spec: EngineSpec, placement: Placement, elsewhere: Elsewhere) -> Replicas:
        def member(index: int, changed: Changed) -> EngineClient:
            room, launch = elsewhere.replica(spec, placement, index)
            return self._client(spec, room, replica=index, launch=launch, changed=changed)

        return Replicas(spec, placement, member, load_timeout=self._load_timeout)

    def _client(
        self,
        spec: EngineSpec,
        room: Room | None,
        *,
        replica: int | None = None,
        opened: EngineSpec | None = None,
        launch: Launch | None = None,
        changed: Changed = lambda: None,
    ) -> EngineClient:
        return EngineClient(
            spec,
            self._terminal,
            load_timeout=self._load_timeout,
            log=self._log,
            metrics=self._metrics,
            room=room,
            opened=opened,
            launch=launch,
            replica=replica,
            changed=changed,
        )

    def _serves(self, key: Key) -> bool:
        engine = self._engines.get(key)
        return engine is not None and engine.state == "ready"

    def _groups_that_may_go(self, own: Key) -> Sequence[Replicas]:
        """The others that are not to be kept, the one asked for longest ago first."""
        return [
            engine
            for key, engine in self._engines.items()
            if key != own and key[0] not in self._pinned and isinstance(engine, Replicas)
        ]

    async def make_room(self) -> None:
        """End the engine that was asked for longest ago, once nobody waits for it or reads from it."""
        async with self._room:
            while len(self._engines) > (self._max_engines or 0) and not self._closing:
                if (key := next(filter(self._may_go, self._engines), None)) is None:
                    await asyncio.sleep(0.1)
                    continue
                engine = self._engines.pop(key)
                self._terminal.progress_done(engine.name, f"{engine.name} makes room for another model")
                await engine.aclose()

    def _may_go(self, key: Key) -> bool:
        engine = self._engines[key]
        return (
            key[0] not in self._pinned and not engine.is_in_use and engine.state not in ("idle", "pending", "loading")
        )

    async def reconcile(self, wanted: Iterable[Placed]) -> None:
        """Keep the engines of ``wanted`` that stand as they are asked for, and retire the others: their streams
        finish first."""
        kept: dict[Key, Placement | None] = {}
        for spec, placement in wanted:
            other = kept.get(key := _key(spec, placement))
            kept[key] = of_both(other, placement) if other and placement else placement
        for key in [key for key, engine in self._engines.items() if not _stands(engine, key, kept)]:
            task = asyncio.create_task(self._retire(self._engines.pop(key)))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        """End every process, all at once, within the seconds a client takes."""
        self._closing = True
        if self._elsewhere is not None:
            self._elsewhere.leave()
        engines, self._engines = list(self._engines.values()), {}
        await asyncio.gather(*self._leaving, *(engine.aclose() for engine in engines))
        if self._elsewhere is not None:
            await self._elsewhere.aclose()

    async def _retire(self, engine: Engine) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while engine.live and not self._closing:
                    await asyncio.sleep(0.1)
        await engine.aclose()


class _Seat(Room):
    """One of the engines that there may be at a time (``--models``)."""

    def __init__(self, pool: EnginePool) -> None:
        self._pool, self._is_taken = pool, False

    async def take(self, *, again: bool = False) -> None:
        if not self._is_taken:
            await self._pool.make_room()
            self._is_taken = True


def _stands(engine: Engine, key: Key, kept: Mapping[Key, Placement | None]) -> bool:
    """Whether it goes on, with other numbers of replicas if the rows say so. Other GPUs are other processes."""
    if isinstance(engine, Replicas) and (placement := kept.get(key)) is not None:
        engine.resize(placement)
    return key in kept


def _key(spec: EngineSpec, placement: Placement | None) -> Key:
    return _json(spec), b"" if placement is None else _json([placement.gpus, placement.where])


def _json(value: object) -> bytes:
    """A spec's options are a dict, which cannot be hashed."""
    return msgspec.json.encode(value, order="deterministic")


__all__ = ["EnginePool"]
