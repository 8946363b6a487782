"""``kill -9`` of what a host consists of, while a worker keeps things and others are asked and talked to.

A worker whose process ends five times on end is given up, or gone back from: it is deployed anew before that.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

from bench.faults import load as steady_load
from bench.faults.kept import deployed
from bench.faults.kept.checks import Checks
from bench.faults.kept.load import Load
from bench.faults.kept.sockets import Talker, crowd
from bench.faults.kept.table import KeptRow
from bench.faults.load import Client
from bench.faults.machine import ZYGOTE, Machine

_SOCKETS = 20
_LONGEST_S = 0.4  # seconds of load between two kills
_ANEW = 4  # kills of one version's processes
_LOOK = 10  # kills between two looks at the messages


@dataclass
class Scene:
    """``others``: who must not notice what befalls the worker that keeps things."""

    machine: Machine
    chance: random.Random
    folder: Path
    load: Load
    others: list[Client]
    talkers: list[Talker]

    @property
    def own(self) -> list[Talker]:
        """Sockets that live in an isolate."""
        return [one for one in self.talkers if one.path == "/own"]

    async def isolate(self) -> tuple[float, int]:
        return await self._killed(await self.load.surely("pid")), 0

    async def objects(self) -> tuple[float, int]:
        return await self._killed(await self.load.surely("object", f"{self.load.name}-pid", "pid")), 0

    async def zygote(self) -> tuple[float, int]:
        """Sockets that hibernate stay open; what was said to a process that is killed, nobody answers."""
        for one in self.talkers:
            one.forgives = one not in self.own
        return await self._all_suffer(self._kill_zygote, self.own)

    async def host(self) -> tuple[float, int]:
        return await self._all_suffer(self._restart, self.talkers)

    async def anew(self) -> None:
        await deployed.keeper(self.machine, self.folder)

    async def _killed(self, pid: int) -> float:
        await asyncio.sleep(self.chance.random() * _LONGEST_S)
        began = time.monotonic()
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process in psutil.Process(self.machine.process.pid).children(recursive=True):
                process.kill()
        return await self.load.healed(began)

    async def _all_suffer(
        self, kill: Callable[[], Awaitable[list[psutil.Process]]], talkers: list[Talker]
    ) -> tuple[float, int]:
        await asyncio.sleep(self.chance.random() * _LONGEST_S)
        suffering: list[Client | Talker] = [*self.others, *talkers]
        for one in suffering:
            one.suffers = True
        began = time.monotonic()
        left = await kill()
        orphans, healed = await asyncio.gather(self.machine.orphans(left), self.load.healed(began))
        gone = time.monotonic()  # an isolate answers for a moment after its zygote's end
        await asyncio.gather(*(one.healed(gone) for one in suffering))
        for one in suffering:
            one.suffers = False
        return healed, orphans

    async def _kill_zygote(self) -> list[psutil.Process]:
        left: list[psutil.Process] = []
        for process in self.machine.begun(ZYGOTE)[:1]:
            with suppress(psutil.NoSuchProcess):
                left += process.children(recursive=True)
                process.kill()
        return left

    async def _restart(self) -> list[psutil.Process]:
        left = self.machine.kill()
        await self.machine.start()
        return left


KINDS = {
    "an isolate": Scene.isolate,
    "the objects' process": Scene.objects,
    "the zygote": Scene.zygote,
    "the host": Scene.host,
}


async def kills(folder: Path, times: int, chance: random.Random) -> AsyncIterator[KeptRow]:
    """One row per kind, so many kills of each."""
    numbers = count(1)
    async with Machine(folder) as machine:
        await steady_load.put(machine, "steady-a", steady_load.STEADY)
        await deployed.sockets(machine, folder / "sockets")
        await deployed.keeper(machine, folder / "keeper")
        for name, way in KINDS.items():
            load = Load(machine, name.replace(" ", "-").replace("'", ""), numbers)
            others = [Client(machine, "steady-a", "steady") for _ in range(2)]
            scene = Scene(machine, chance, folder / "keeper", load, others, crowd(machine, _SOCKETS))
            yield await _of_one_kind(KeptRow(name), times, scene, way)


async def _of_one_kind(
    row: KeptRow, times: int, scene: Scene, way: Callable[[Scene], Awaitable[tuple[float, int]]]
) -> KeptRow:
    await scene.load.surely("tables")
    over, checks = asyncio.Event(), Checks(scene.load)
    tasks = [asyncio.create_task(one.run(over)) for one in (scene.load, *scene.others, *scene.talkers)]
    await asyncio.gather(*(one.healed(0) for one in (*scene.others, *scene.talkers)))
    while row.times < times:
        if row.times % _ANEW == _ANEW - 1:
            await scene.anew()
        healed, orphans = await way(scene)
        row.times, row.orphans = row.times + 1, row.orphans + orphans
        row.healed.append(healed)
        if row.times % _LOOK == 0:
            await asyncio.to_thread(checks.messages)
    over.set()
    await asyncio.gather(*tasks)
    await checks.all()
    _add(row, scene, checks)
    return row


def _add(row: KeptRow, scene: Scene, checks: Checks) -> None:
    load = scene.load
    row.told.update(
        writes=load.writes, messages=len(load.sent), alarms=len(load.alarms), instances=len(load.instances),
        answers=sum(one.answered for one in scene.others), talk=sum(one.answered for one in scene.talkers),
        errors=sum(len(one.errors) for one in scene.others), closed=sum(len(one.errors) for one in scene.talkers),
    )  # fmt: skip
    row.told.update({kind: len(wrong) for kind, wrong in checks.wrong.items()})
    row.wrong += [text for wrong in checks.wrong.values() for text in wrong]
    row.wrong += [text for one in (*scene.others, *scene.talkers) for text in one.errors]


__all__ = ["KINDS", "kills"]
