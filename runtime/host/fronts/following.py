"""The workers as a front that is not the first has them: those that may run here, as the registry says."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bindings import products
from bindings.base import Binding
from runtime.config import Config
from runtime.errors import UserError
from runtime.host.fleet import Fleet
from runtime.host.links.first import FirstFront
from runtime.host.store.rows import DeploymentRow, VersionRow
from runtime.host.versions.rollout import Arm, Rollout
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.reload.reloader import make_responders
from runtime.wire import ChannelClosed, RemoteError

STARTED = "each", "near"  # of products: they are in every front
OPEN_S = 45.0  # seconds to open what a change names; a worker that takes longer is the first front's alone


def runs_here(config: Config) -> bool:
    """Whether a worker with this configuration may run on every front."""
    asked = [product for product in products() if config.products.get(product.key)]
    return all(product.fronts != "first" for product in asked)


class Following(Fleet):
    """``workers`` are those that run here; for all others the first front is asked. It changes nothing."""

    first: FirstFront

    async def open(self) -> None:
        """Everything the registry has."""
        await self.follow("")

    async def follow(self, name: str) -> None:
        """Run what the registry says of this worker; "": of all. One that cannot run here is the first front's."""
        names = [name] if name else sorted({*self.registry.workers(), *self.workers})
        await asyncio.gather(*(self.turns.take(one, partial(self._follow, one)) for one in names))

    async def _follow(self, name: str) -> None:
        newest = await asyncio.to_thread(self.registry.deployment, name)
        if newest is None:
            return self._leave_to_first(name)
        try:
            async with asyncio.timeout(OPEN_S):
                await self._run(name, newest)
        except (UserError, OSError, sqlite3.Error, RemoteError, ChannelClosed, TimeoutError) as error:
            self._observer.warn(f"{name} runs on the first front alone: {error or 'it takes too long to open here'}")
            self._leave_to_first(name)

    async def _run(self, name: str, newest: DeploymentRow) -> None:
        versions = self.registry.versions_of(newest)
        if not all(runs_here(self.config(row)) for row, _ in versions):
            return self._leave_to_first(name)
        worker = self.workers.get(name)
        if worker is None or worker.rollout is None or worker.rollout.row.id != newest.id:
            rollout = Rollout(newest, await self._arms(versions))
            self._swap(worker or self._new(name), rollout)
        self.workers[name].domains = frozenset((self.registry.settings(name) or {}).get("domains", ()))

    def _leave_to_first(self, name: str) -> None:
        worker = self.workers.pop(name, None)
        if worker is not None and worker.rollout is not None:
            self._let_go(worker.rollout.arms)

    async def _made(self, row: VersionRow) -> Deployment:
        """The version, not opened yet. Raises RequestError for its metadata, ChannelClosed, RemoteError."""
        config, parts = await self._needed(row)
        bindings = await self._bindings(row.id, config)
        deployment = Deployment(row.number, config, bindings, parts, make_responders(config, self.context))
        deployment.closers.append(partial(self._forget, row.id))
        return deployment

    async def _bindings(self, id: str, config: Config) -> list[Binding]:
        own = [it for product in products() if product.fronts in STARTED for it in product.parse(config, self.context)]
        names = {binding.name for binding in own}
        return [*own, *(binding for binding in await self.first.bindings(id) if binding.name not in names)]

    async def _forget(self, id: str) -> None:
        self.first.note("forget", id)

    def give_up(self, deployment: Deployment, why: str) -> None:
        """The first front goes back, and this one follows."""
        for worker in self.workers.values():
            for arm in worker.rollout.arms if worker.rollout is not None else ():
                if arm.deployment is deployment:
                    self.first.note("failed", worker.name, arm.row.id, why)

    def rows(self) -> Mapping[str, Any]:
        """By worker: requests answered, those that failed, processes."""
        arms: dict[str, Sequence[Arm]] = {
            name: worker.rollout.arms for name, worker in self.workers.items() if worker.rollout is not None
        }
        return {
            name: [
                sum(arm.answered for arm in of),
                sum(arm.failed for arm in of),
                sum(arm.deployment.isolates for arm in of),
            ]
            for name, of in arms.items()
        }


__all__ = ["Following", "runs_here"]
