"""Workers that nobody changes, under requests without a pause: who is hit by a fault that is not theirs?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from bench.faults.changes import put
from bench.faults.machine import PATIENCE_S, Machine

STEADY = """
from workers import Response
def fetch(): return Response("steady")
"""
MODEL = """
async def fetch(request, env):
    return await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "one two three", "stream": True})
"""
_PAUSE_S = 0.02  # seconds between two requests of one client


@dataclass(eq=False)
class Client:
    """One that asks one worker again and again. ``suffers``: an error is the fault's, and expected."""

    machine: Machine
    worker: str
    wanted: str  # how a whole answer ends
    suffers: bool = False
    answered: int = 0
    broken: int = 0  # by a fault that is the worker's own
    errors: list[str] = field(default_factory=list)  # by one that is not
    well_since: float = 0.0  # when the request began that was last answered well

    async def run(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self._once()
            await asyncio.sleep(_PAUSE_S)

    async def healed(self, since: float) -> None:
        """Until a request that began after ``since`` has been answered well."""
        async with asyncio.timeout(PATIENCE_S):
            while self.well_since <= since:
                await asyncio.sleep(0.01)

    async def _once(self) -> None:
        began, suffers = time.monotonic(), self.suffers
        told = await self._asked()
        if told.endswith(self.wanted):
            self.answered += 1
            self.well_since = began
        elif suffers or self.suffers:
            self.broken += 1
        else:
            self.errors.append(f"{self.worker}: {told[-200:]}")

    async def _asked(self) -> str:
        try:
            async with self.machine.http.get(f"{self.machine.url}/_w/{self.worker}/") as response:
                text = await response.text()
                return text if response.status == 200 else f"{response.status} {text}"
        except (aiohttp.ClientError, OSError) as error:
            return f"{type(error).__name__}: {error}"


async def begin(machine: Machine) -> None:
    """The workers that are asked."""
    for name in ("steady-a", "steady-b"):
        await put(machine, name, STEADY)
    await put(machine, "model", MODEL, [{"name": "AI", "type": "ai"}])


def steady(machine: Machine) -> list[Client]:
    """Two clients each of two plain workers."""
    return [Client(machine, name, "steady") for name in ("steady-a", "steady-b") for _ in range(2)]


def model(machine: Machine) -> Client:
    """One of a worker that streams a model's answer."""
    return Client(machine, "model", "data: [DONE]\n\n")


async def heal(clients: Sequence[Client], since: float) -> float:
    """Seconds until each of them is answered again."""
    await asyncio.gather(*(client.healed(since) for client in clients))
    return time.monotonic() - since


__all__ = ["Client", "begin", "heal", "model", "steady"]
