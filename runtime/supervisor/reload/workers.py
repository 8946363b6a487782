"""The workers of one ``pilot dev``: the first answers on the address, all reach each other by name.

Each reloads by itself, and one that is broken breaks nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from bindings.base import Event
from bindings.messages import Undelivered
from runtime.errors import UserError
from runtime.supervisor.calls.call import Callee
from runtime.supervisor.calls.reach import NotRunning
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.reload.reloader import Deployments


class Workers:
    def __init__(self, workers: Sequence[Deployments]) -> None:
        self._workers = workers
        self.first = workers[0]

    def __iter__(self) -> Iterator[Deployments]:
        return iter(self._workers)

    def find(self, name: str) -> Deployments | None:
        """By the name that its configuration has now."""
        for worker in self._workers:
            if worker.config.name == name:
                return worker
        return None

    def deployments(self) -> list[Deployment]:
        """What runs, of all of them."""
        return [deployment for worker in self._workers for deployment in worker.deployments]

    async def begin(self) -> None:
        """Until the bindings of each are known; the scripts may take their time."""
        await asyncio.gather(*(worker.begin() for worker in self._workers))

    async def open(self) -> None:
        """Raises what is neither a script's fault nor a configuration's."""
        await asyncio.gather(*(worker.open() for worker in self._workers))

    async def handle(self, name: str, event: Event) -> object:
        """Its outcome. Raises ``ScriptError``, ``Undelivered``."""
        with Undelivered.instead(UserError):
            deployment = await self.current(name)
        return await deployment.handle(event)

    async def current(self, name: str) -> Deployment:
        """The version that answers. Raises UserError, and what broke."""
        if (worker := self.find(name)) is None:
            known = ", ".join(worker.config.name for worker in self._workers)
            remedy = "Serve it too, with one more:  --config PATH"
            raise UserError(f"there is no such worker here, but {known}", where=name, remedy=remedy)
        return await worker.current([])

    async def reach(self, name: str) -> Callee:
        """The version that answers another worker. Raises ``NotRunning``, and what broke."""
        if (worker := self.find(name)) is None:
            raise NotRunning(name)
        return await worker.current([])

    def at_hand(self, name: str) -> Deployment | None:
        """The same, where there is one already."""
        return None if (worker := self.find(name)) is None else worker.at_hand

    async def reload(self) -> None:
        """Each anew, with its configuration, whether or not anything was saved."""
        for worker in self._workers:
            await worker.reload([worker.config.path or worker.config.main or worker.config.root])

    async def follow(self) -> None:
        """Reload each when something of it is saved, for ever."""
        async with asyncio.TaskGroup() as following:
            for worker in self._workers:
                following.create_task(worker.follow())

    async def aclose(self, left: float) -> None:
        await asyncio.gather(*(worker.aclose(left) for worker in self._workers))


__all__ = ["Workers"]
