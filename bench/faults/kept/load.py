"""Clients that have a worker keep something without a pause, and what it has acknowledged.

What is not answered may have been kept or not. Who asks twice asks for something new: nothing is sent again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

from bench.faults.machine import PATIENCE_S, Machine

OBJECTS = 8
_PAUSE_S = 0.02  # seconds between two requests of one client
_SHARES = {"write": 6, "row": 1, "key": 1, "send": 4, "ring": 1, "begin": 1}  # clients of each kind
_BEGIN_PAUSE_S = 1.0


@dataclass(eq=False)
class Load:
    """``name``: of this load's objects and instances, which no other has."""

    machine: Machine
    name: str
    numbers: count[int]  # no two loads of one machine have the same
    values: dict[str, dict[int, int]] = field(default_factory=dict)  # object → number → the value it was told
    rows: set[int] = field(default_factory=set)
    keys: set[int] = field(default_factory=set)
    sent: set[int] = field(default_factory=set)
    alarms: set[str] = field(default_factory=set)  # objects
    instances: set[str] = field(default_factory=set)
    well_since: float = 0.0  # when the write began that was last acknowledged

    @property
    def writes(self) -> int:
        return sum(map(len, self.values.values())) + len(self.rows) + len(self.keys)

    async def run(self, over: asyncio.Event) -> None:
        ways: dict[str, Callable[[int], Awaitable[None]]] = {name: getattr(self, f"_{name}") for name in _SHARES}
        async with asyncio.TaskGroup() as group:
            for name, clients in _SHARES.items():
                for _ in range(clients):
                    group.create_task(self._again(ways[name], over, _BEGIN_PAUSE_S if name == "begin" else _PAUSE_S))

    async def healed(self, since: float) -> float:
        """Seconds from then until a write that began later has been acknowledged."""
        async with asyncio.timeout(PATIENCE_S):
            while self.well_since <= since:
                await asyncio.sleep(0.01)
        return time.monotonic() - since

    async def ask(self, route: str, *args: object) -> tuple[bool, Any]:
        """(whether it was answered well, with what)."""
        try:
            async with self.machine.http.post(f"{self.machine.url}/_w/keeper/{route}", json=args) as response:
                text = await response.text()
        except (aiohttp.ClientError, OSError) as error:
            return False, f"{type(error).__name__}: {error}"
        return (True, json.loads(text)) if response.status == 200 else (False, f"{response.status} {text}")

    async def surely(self, route: str, *args: object) -> Any:
        """What it answers once it does. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_S):
            while not (answer := await self.ask(route, *args))[0]:
                await asyncio.sleep(0.05)
        return answer[1]

    async def _again(self, way: Callable[[int], Awaitable[None]], over: asyncio.Event, pause: float) -> None:
        while not over.is_set():
            await way(next(self.numbers))
            await asyncio.sleep(pause)

    async def _write(self, number: int) -> None:
        name, began = f"{self.name}-{number % OBJECTS}", time.monotonic()
        well, value = await self.ask("object", name, "add", number)
        if well:
            self.values.setdefault(name, {})[number] = value
            self.well_since = began

    async def _row(self, number: int) -> None:
        await self._kept(self.rows, "row", number)

    async def _key(self, number: int) -> None:
        await self._kept(self.keys, "key", number)

    async def _send(self, number: int) -> None:
        await self._kept(self.sent, "send", number)

    async def _kept(self, told: set[int], route: str, number: int) -> None:
        if (await self.ask(route, number))[0]:
            told.add(number)

    async def _ring(self, number: int) -> None:
        name = f"{self.name}-alarm-{number}"
        if (await self.ask("object", name, "ring"))[0]:
            self.alarms.add(name)

    async def _begin(self, number: int) -> None:
        id = f"{self.name}-{number}"
        if (await self.ask("begin", id))[0]:
            self.instances.add(id)


__all__ = ["Load"]
