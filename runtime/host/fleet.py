"""Every worker of a host: which versions are open, which of them answers, and how one takes another's place.

Theory of operation
-------------------
The registry says what *should* run: a worker's newest deployment. The fleet makes it so: it opens the versions that
the deployment names (``OpenVersions``: each once, however many deployments name it), writes the deployment down, swaps
the pointer, and lets go of the versions before: their requests and streams finish first. Until the row is written
nothing has changed for anybody; once it is, a restart leads to the same place.

Opening takes seconds, and the world goes on meanwhile. So changes of one worker take turns (``Turns``), each reads what
it builds on within its own; and a restore, which takes none lest a deploy waits for it, looks again before it swaps.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from bindings import products
from bindings.base import Event, ProductContext
from bindings.messages import Undelivered
from runtime.config import Config
from runtime.errors import PilotError, UserError
from runtime.host.returns import Returns
from runtime.host.store.bundle import Bundles
from runtime.host.store.registry import Registry
from runtime.host.store.rows import DeploymentRow, VersionRow, now
from runtime.host.store.secret_box import SecretBox
from runtime.host.versions.opened import OpenVersions
from runtime.host.versions.packages import Packages
from runtime.host.versions.rollout import Arm, Rollout
from runtime.host.versions.turns import Turns
from runtime.host.versions.upload import config_of, limits_of, requirements_of
from runtime.host.worker import NotDeployed, Worker
from runtime.supervisor.limits import IsolateLost
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.parts import Parts
from runtime.supervisor.reload.reloader import make_resident, make_responders, parse_bindings
from runtime.supervisor.traces.traces import Traces

_ALL = ""  # the turns of what concerns every worker
_RESTORE_PAUSES_S = (0.5, 30.0)  # seconds until what the host itself could not begin is tried again: at first, at most


async def _nobody(name: str) -> None:
    """There is one front."""


class Fleet:
    """The workers. ``open`` brings back what the registry says; ``deploy`` changes it."""

    def __init__(
        self,
        registry: Registry,
        bundles: Bundles,
        seal: SecretBox,
        context: ProductContext,
        parts: Parts,
        observer: Observer,
        traces: Traces,
        packages: Packages,
    ) -> None:
        self.registry, self.bundles, self.seal = registry, bundles, seal
        self._packages = packages
        self.workers: dict[str, Worker] = {}
        self.turns, self.versions = Turns(), OpenVersions(self._made)
        self._returns = Returns(registry, self.turns, self.deploy, observer)
        self.context, self._parts, self._observer, self._traces = context, parts, observer, traces
        self._tasks: set[asyncio.Task[None]] = set()
        self.changed: Callable[[str], Awaitable[None]] = _nobody  # has the other fronts follow
        self.left: Callable[[str], Awaitable[None]] = _nobody  # until they have let go of a worker, too

    async def open(self) -> None:
        """Everything the registry has; one worker that fails does not keep the others."""
        self._sweep(set())  # what is left of uploads that never became a version
        await asyncio.gather(*map(self._restore, map(self._new, self.registry.workers())))

    def received(self, name: str, metadata: Mapping[str, Any], before: VersionRow | None) -> dict[str, Any]:
        """An upload's metadata as it is kept, for what products have in it. Raises RequestError."""
        old = before.metadata if before is not None else {}
        kept = dict(metadata)
        for product in products():
            kept |= product.received(self.context, name, metadata, old)
        return kept

    def config(self, row: VersionRow) -> Config:
        folder = self.bundles.path(row.bundle)
        return config_of(row, folder, lambda name, sealed: self.seal.open(row.worker, name, sealed))

    async def install(self, pins: Sequence[str]) -> None:
        """These packages, before the turn that needs them: no other change is to wait for a download."""
        await self._packages.folders(pins)

    async def deploy(
        self, name: str, versions: Sequence[tuple[VersionRow, float]], *, new: VersionRow | None = None, **about: Any
    ) -> DeploymentRow:
        """Make these answer; ``new``: the one among them that is not kept yet. Within the worker's turn. Raises what
        ``OpenVersions.hold`` raises and sqlite3.Error, and then nothing has changed."""
        kept = [row.metadata for row, _ in versions]
        for product in products():
            product.admit(self.context, name, kept)
        arms = await self._arms(versions)
        try:
            shares = [(row.id, share) for row, share in versions]
            row = DeploymentRow(id=str(uuid.uuid4()), worker=name, versions=shares, created=now(), **about)
            await asyncio.to_thread(self.registry.add_deployment, row, new)
        except BaseException:
            self._let_go(arms)
            raise
        worker = self.workers.get(name) or self._new(name)
        judge = partial(self._returns.judge, worker, worker.rollout.failing) if worker.rollout else None
        self._swap(worker, Rollout(row, arms, judge))
        await self._tell_products(name, kept)
        await self.changed(name)
        return row

    async def delete(self, name: str) -> None:
        """Within the worker's turn. Raises sqlite3.Error, and then nothing has changed."""
        await asyncio.to_thread(self.registry.delete, name)
        worker = self.workers.pop(name, None)
        self.versions.forget(name)
        if worker is not None:
            worker.rollout, old = None, worker.rollout
            worker.broken = NotDeployed(f"the worker {name!r} was deleted")
            worker.opened.set()
            self._let_go(old.arms if old else [])
        await self.changed(name)
        self._spawn(self._sweep_after(name))

    async def claim(self, name: str, hosts: Sequence[str]) -> None:
        """These hostnames lead to the worker, and to no other any more. Raises sqlite3.Error."""

        async def claimed() -> None:
            domains = await asyncio.to_thread(self.registry.claim, name, hosts)
            for worker in self.workers.values():
                worker.domains = frozenset(domains.get(worker.name, ()))
            await self.changed(_ALL)

        await self.turns.take(_ALL, claimed)

    async def handle(self, name: str, event: Event) -> object:
        """An event's outcome, of the version that would answer a request. Raises ``ScriptError``, ``Undelivered``."""
        with Undelivered.instead(UserError):
            chosen = await self._worker(name).current([])
        return await chosen.handle(event)

    async def resident(self, name: str) -> Deployment:
        """The version that has what the worker keeps between requests: of two, the one with the larger share. Raises
        ``UserError``."""
        worker = self._worker(name)
        await worker.current([])  # or why there is none
        assert worker.rollout is not None
        return _keeping(worker.rollout)

    def resident_at_hand(self, name: str) -> Deployment | None:
        """The same, where there is one already."""
        worker = self.workers.get(name)
        return None if worker is None or worker.rollout is None else _keeping(worker.rollout)

    def _worker(self, name: str) -> Worker:
        if (worker := self.workers.get(name)) is None:
            raise NotDeployed("there is no such worker on this host", where=name)
        return worker

    def deployments(self) -> list[Deployment]:
        """Every version that is open, or about to be."""
        return [held.deployment for held in self.versions if held.deployment is not None and not held.leaving]

    def give_up(self, deployment: Deployment, why: str) -> None:
        """Traffic returns to what answered before; without anything before, it stays and keeps being begun again."""
        worker = self.workers.get(deployment.config.name)
        rollout = worker.rollout if worker is not None else None
        if worker is not None and rollout is not None and any(arm.deployment is deployment for arm in rollout.arms):
            self._returns.begin(worker, rollout, why)

    async def aclose(self, drain: float) -> None:
        until = time.monotonic() + drain
        for task in self._tasks:
            task.cancel()
        await self.turns.aclose(drain)
        await self.versions.aclose(max(0.0, until - time.monotonic()))

    async def _restore(self, worker: Worker, pause: float = _RESTORE_PAUSES_S[0]) -> None:
        """What answered when the host ended. What is the host's own trouble is tried again after ``pause`` seconds."""
        try:
            await self._put_back(worker)
        except (IsolateLost, OSError, sqlite3.Error) as error:
            self._broken(worker, IsolateLost(f"the host cannot begin it: {error}"))
            self._spawn(self._restore_later(worker, pause))
        except UserError as error:
            self._broken(worker, error)
        finally:
            worker.opened.set()

    async def _put_back(self, worker: Worker) -> None:
        """Opened while other things go on: if one of them was a deploy, that one stands."""
        newest = self.registry.deployment(worker.name)
        if newest is None:
            return
        arms = await self._arms(self.registry.versions_of(newest))
        if worker.rollout is None and self.registry.deployment(worker.name) == newest:
            self._swap(worker, Rollout(newest, arms))
            await self._tell_products(worker.name, [arm.row.metadata for arm in arms])
        else:
            self._let_go(arms)

    async def _tell_products(self, name: str, kept: Sequence[Mapping[str, Any]]) -> None:
        """The versions with this metadata answer; what a product makes of that is not theirs to fail of."""
        try:
            for product in products():
                await product.answers(self.context, name, kept)
        except (PilotError, OSError, sqlite3.Error) as error:
            self._observer.error(f"{name}: {error}")

    async def _restore_later(self, worker: Worker, pause: float) -> None:
        await asyncio.sleep(pause)
        if worker.rollout is None and self.workers.get(worker.name) is worker:
            await self._restore(worker, min(2 * pause, _RESTORE_PAUSES_S[1]))

    def _broken(self, worker: Worker, error: UserError) -> None:
        if worker.rollout is None:
            worker.broken = error
            self._observer.error(f"{worker.name} does not start: {error}")

    async def _made(self, row: VersionRow) -> Deployment:
        """The version with its packages, not opened yet. Raises RequestError for its metadata."""
        config, parts = await self._needed(row)
        bindings, responders = parse_bindings(config, self.context), make_responders(config, self.context)
        return Deployment(row.number, config, bindings, parts, responders, make_resident(config, self.context))

    async def _needed(self, row: VersionRow) -> tuple[Config, Parts]:
        """Its configuration, with the folders of its packages, and its limits. Raises RequestError."""
        config = replace(self.config(row), packages=await self._packages.folders(requirements_of(row)))
        return config, replace(self._parts, limits=limits_of(row, self._parts.limits))

    async def _arms(self, versions: Sequence[tuple[VersionRow, float]]) -> list[Arm]:
        """All of them held, or none."""
        arms: list[Arm] = []
        try:
            for row, share in versions:
                arms.append(Arm(row, await self.versions.hold(row), share))
        except BaseException:
            self._let_go(arms)
            raise
        return arms

    def _swap(self, worker: Worker, rollout: Rollout) -> None:
        old, worker.rollout, worker.broken = worker.rollout, rollout, None
        worker.opened.set()
        self._let_go(old.arms if old else [])

    def _let_go(self, arms: Sequence[Arm]) -> None:
        for arm in arms:
            self.versions.let_go(arm.row.id)

    async def _sweep_after(self, name: str) -> None:
        """Once nothing of this worker lives any more."""
        await self.versions.left(name)
        await self.left(name)
        await asyncio.to_thread(self._sweep, {held.row.bundle for held in self.versions})

    def _sweep(self, running: set[str]) -> None:
        """A bundle that something still runs from stays until the next time."""
        try:
            self.bundles.sweep(self.registry.bundles() | running)
            kept = self.registry.metadata()
            for product in products():
                product.sweep(self.context, kept)
        except (OSError, sqlite3.Error) as error:
            self._observer.warn(f"what no version names any more is left for later: {error}")

    def _new(self, name: str) -> Worker:
        worker = self.workers[name] = Worker(name, self._traces)
        worker.domains = frozenset((self.registry.settings(name) or {}).get("domains", ()))
        return worker

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _keeping(rollout: Rollout) -> Deployment:
    return max(rollout.arms, key=lambda arm: arm.share).deployment


__all__ = ["Fleet"]
