"""Which versions are open: each once, however many hold it, and for as long as somebody does.

The deployment in force holds its versions, an upload the one it has just seen to load, a restore the ones it begins.
Who lets go last retires it: its requests and streams finish first. So nothing lives that nobody owns, and what lives
can be listed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from runtime.host.store.rows import VersionRow
from runtime.supervisor.processes.deployment import Deployment

Make = Callable[[VersionRow], Awaitable[Deployment]]


@dataclass(eq=False)
class Held:
    """One version that is open, or about to be. ``deployment`` is None while its packages are installed."""

    row: VersionRow
    holders: int = 0
    deployment: Deployment | None = None
    opening: asyncio.Task[Deployment] = field(init=False)
    leaving: bool = False

    @property
    def isolates(self) -> int:
        """Its processes, those that begin or end among them."""
        return self.deployment.isolates if self.deployment is not None else 0


class OpenVersions:
    """``make(row)``: the version's deployment, not opened yet."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._held: dict[str, Held] = {}  # by the version's id
        self._leaving: dict[asyncio.Task[None], Held] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}  # uploads that are not deployed yet, by the version's id

    def __iter__(self) -> Iterator[Held]:
        """All that live."""
        yield from self._held.values()
        yield from self._leaving.values()

    async def hold(self, row: VersionRow) -> Deployment:
        """The version, opened; ``let_go`` is due once for each call. Raises ``ScriptError`` when it does not load,
        RequestError for its metadata or its packages, OSError."""
        held = self._held.get(row.id)
        if held is None:
            held = self._held[row.id] = Held(row)
            held.opening = asyncio.create_task(self._open(held))
        held.holders += 1
        try:
            return await asyncio.shield(held.opening)
        except BaseException:
            self.let_go(row.id)
            raise

    @asynccontextmanager
    async def holding(self, row: VersionRow) -> AsyncIterator[Deployment]:
        deployment = await self.hold(row)
        try:
            yield deployment
        finally:
            self.let_go(row.id)

    async def keep(self, row: VersionRow, seconds: float) -> None:
        """Hold it for so long: its deployment is on its way."""
        await self.hold(row)
        self._waiting[row.id] = asyncio.get_running_loop().call_later(seconds, self._waited, row.id)

    def forget(self, worker: str) -> None:
        """Nothing of this worker waits for a deployment any more."""
        for id in [held.row.id for held in self._held.values() if held.row.worker == worker]:
            if (timer := self._waiting.get(id)) is not None:
                timer.cancel()
                self._waited(id)

    async def left(self, worker: str) -> None:
        """Until those of this worker that nobody holds are gone."""
        tasks = [task for task, held in self._leaving.items() if held.row.worker == worker]
        if tasks:
            await asyncio.wait(tasks)

    def let_go(self, id: str) -> None:
        held = self._held.get(id)
        if held is None:
            return  # all are closed: the host ends
        held.holders -= 1
        if held.holders == 0:
            del self._held[id]
            self._end(held)

    async def aclose(self, drain: float) -> None:
        """All of them, whoever holds them, within ``drain`` seconds."""
        for timer in self._waiting.values():
            timer.cancel()
        for held in self._held.values():
            self._end(held)
        self._held = {}
        if self._leaving:
            _, late = await asyncio.wait(self._leaving, timeout=drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _waited(self, id: str) -> None:
        del self._waiting[id]
        self.let_go(id)

    async def _open(self, held: Held) -> Deployment:
        deployment = held.deployment = await self._make(held.row)
        try:
            await deployment.open()
        except BaseException:
            await deployment.aclose()
            raise
        return deployment

    def _end(self, held: Held) -> None:
        held.leaving = True
        task = asyncio.create_task(_retire(held))
        self._leaving[task] = held
        task.add_done_callback(self._leaving.pop)


async def _retire(held: Held) -> None:
    """One that is still being opened is closed by that."""
    if not held.opening.done():
        held.opening.cancel()
        await asyncio.wait([held.opening])
    if not held.opening.cancelled() and held.opening.exception() is None:
        await held.opening.result().retire()


__all__ = ["Held", "OpenVersions"]
