"""``kill -9`` at random moments of whatever a host consists of, while workers are changed and asked."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import psutil

from bench.faults import load
from bench.faults.changes import Changing
from bench.faults.load import Client
from bench.faults.machine import ENGINE, ZYGOTE, Machine
from bench.faults.table import Row

# Per cent of the kills. A model's process is begun again after a pause that doubles with each end, up to 30 s.
SHARES = {"the host": 12, "the zygote": 26, "an isolate": 60, "a model's process": 2}


class Kills:
    """``clients``: of workers that stay as they are; ``model``: of one that asks a model."""

    def __init__(self, machine: Machine, chance: random.Random, clients: list[Client], model: Client) -> None:
        self._machine, self._chance, self._steady, self._model = machine, chance, clients, model

    async def host(self) -> tuple[float, int]:
        """(seconds until it healed, orphans)."""
        return await self._hitting([*self._steady, self._model], self._restarted)

    async def zygote(self) -> tuple[float, int]:
        return await self._hitting([*self._steady, self._model], lambda: self._killed(ZYGOTE))

    async def engine(self) -> tuple[float, int]:
        return await self._hitting([self._model], lambda: self._killed(ENGINE))

    async def isolate(self, workers: list[Changing]) -> tuple[float, int]:
        """Of one of those that are changed: nobody else is to notice."""
        name, began = self._chance.choice(workers).name, time.monotonic()
        pid = await self._pid(name)
        if pid:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                began = time.monotonic()
                process.kill()
                while await self._pid(name) == pid:
                    await asyncio.sleep(0.01)
        return time.monotonic() - began, 0

    async def _hitting(
        self, clients: list[Client], kill: Callable[[], Awaitable[list[psutil.Process]]]
    ) -> tuple[float, int]:
        for client in clients:
            client.suffers = True
        began = time.monotonic()
        left = await kill()
        orphans, healed = await asyncio.gather(self._machine.orphans(left), load.heal(clients, began))
        for client in clients:
            client.suffers = False
        return healed, orphans

    async def _restarted(self) -> list[psutil.Process]:
        left = self._machine.kill()
        await self._machine.start()
        return left

    async def _killed(self, module: str) -> list[psutil.Process]:
        left: list[psutil.Process] = []
        for process in self._machine.begun(module):
            with suppress(psutil.NoSuchProcess):
                left += process.children(recursive=True)
                process.kill()
        return left

    async def _pid(self, name: str) -> int:
        """Of a process that answers for it; 0: there is no such worker. It waits until one answers."""
        async with asyncio.timeout(60):
            while True:
                with suppress(aiohttp.ClientError, OSError):
                    async with self._machine.http.get(f"{self._machine.url}/_w/{name}/pid") as response:
                        if response.status in (200, 404):
                            return int(await response.text()) if response.status == 200 else 0
                await asyncio.sleep(0.01)


async def kills(folder: Path, times: int, chance: random.Random, until: float) -> list[Row]:
    """One row per kind, ``times`` kills in all, none begun after the monotonic clock says ``until``."""
    async with Machine(folder) as machine:
        await load.begin(machine)
        wanted = {name: max(1, times * share // 100) for name, share in SHARES.items()}
        return [await _of_one_kind(machine, chance, name, count, until) for name, count in wanted.items()]


async def _of_one_kind(machine: Machine, chance: random.Random, name: str, times: int, until: float) -> Row:
    row, over = Row(f"`kill -9` of {name}"), asyncio.Event()
    workers = [Changing(machine, f"{name.split()[-1]}-{number}", chance) for number in range(3)]
    clients, model = load.steady(machine), load.model(machine)
    tasks = [asyncio.create_task(one.run(over)) for one in (*workers, *clients, model)]
    kill = Kills(machine, chance, clients, model)
    ways = {"the host": kill.host, "the zygote": kill.zygote, "a model's process": kill.engine}
    await load.heal([*clients, model], time.monotonic())
    while row.times < times and time.monotonic() < until:
        await asyncio.sleep(chance.random() * 0.4)
        healed, orphans = await (ways[name]() if name in ways else kill.isolate(workers))
        row.times, row.orphans = row.times + 1, row.orphans + orphans
        row.healed.append(healed)
    over.set()
    await asyncio.gather(*tasks)
    row.add(workers, [*clients, model])
    return row


__all__ = ["SHARES", "kills"]
