"""Every worker of a host: which versions are open, which of them answers, and how one takes another's place.

Theory of operation
-------------------
The registry says what *should* run: a worker's newest deployment. The fleet makes it so: it opens the versions that
the deployment names (each once, however many deployments name it), writes the deployment down, swaps the pointer, and
retires the versions that nothing names any more: their requests and streams finish first. Until the row is written
nothing has changed for anybody; once it is, a restart leads to the same place. Deploys of one worker take turns.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from bindings.base import Event, ProductContext
from runtime.config import Config, PilotSettings
from runtime.errors import UserError
from runtime.host.store.bundle import Bundles
from runtime.host.store.registry import Registry
from runtime.host.store.rows import DeploymentRow, VersionRow, now
from runtime.host.store.secret_box import SecretBox
from runtime.host.tails import Tails
from runtime.host.versions.packages import Packages
from runtime.host.versions.rollout import Arm, Rollout
from runtime.host.versions.upload import config_of, limits_of, requirements_of
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.process import Parts
from runtime.supervisor.reload.reloader import parse_bindings

_TRIAL_S = 300.0  # seconds in which a new deployment is watched
_MIN_REQUESTS = 20  # requests it must have had
_MAX_FAILURE_SHARE = 0.25  # share of failing ones that is too many, unless the one before was like that


class NotDeployed(UserError):
    """No version of this worker answers."""


class Chosen(NamedTuple):
    """The version for one request."""

    worker: Worker
    rollout: Rollout
    arm: Arm

    async def fetch(self, exchange: Exchange) -> None:
        tell = self.worker.tails.answered
        try:
            await self.rollout.fetch(self.arm, exchange)
        except asyncio.CancelledError:
            tell(self.worker.name, exchange, 499, None)
            raise
        except Exception as error:
            tell(self.worker.name, exchange, exchange.status or 500, error)
            raise
        tell(self.worker.name, exchange, exchange.status, None)


class Worker:
    """One worker by name; what ``Dispatch`` serves."""

    broken: UserError | None = None

    def __init__(self, name: str, tails: Tails) -> None:
        self.name, self.tails = name, tails
        self.rollout: Rollout | None = None
        self.lock = asyncio.Lock()
        self.opened = asyncio.Event()  # or it is known why not
        self.domains: frozenset[str] = frozenset()
        self._pilot = PilotSettings()

    @property
    def version(self) -> int:
        return self.rollout.arms[0].row.number if self.rollout else 0

    @property
    def body_limit(self) -> int:
        return self.rollout.arms[0].deployment.config.pilot.body_limit if self.rollout else self._pilot.body_limit

    async def current(self, headers: Sequence[tuple[bytes, bytes]]) -> Chosen:
        """The version for a request with these headers."""
        if self.rollout is None:
            await self.opened.wait()
        if self.rollout is None:
            raise self.broken or NotDeployed(f"the worker {self.name!r} has no deployment")
        return Chosen(self, self.rollout, self.rollout.choose(self.name, headers))


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
        tails: Tails,
        packages: Packages,
    ) -> None:
        self.registry, self.bundles, self.seal = registry, bundles, seal
        self._packages = packages
        self.workers: dict[str, Worker] = {}
        self._context, self._parts, self._observer, self._tails = context, parts, observer, tails
        self._open: dict[str, Deployment] = {}  # by version id
        self._retiring: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Everything the registry has; one worker that fails does not keep the others."""
        self.bundles.sweep(self.registry.bundles())  # of uploads that never became a version
        for name in self.registry.workers():
            settings = self.registry.settings(name) or {}
            self.worker(name).domains = frozenset(settings.get("domains", ()))
        await asyncio.gather(*map(self._restore, list(self.workers.values())))

    def worker(self, name: str) -> Worker:
        return self.workers.setdefault(name, Worker(name, self._tails))

    async def prepare(self, row: VersionRow) -> Deployment:
        """The version, opened. Raises ``ScriptError`` when it does not load, RequestError for its metadata."""
        if (running := self._open.get(row.id)) is not None:
            return running
        config = replace(self.config(row), packages=await self._packages.folders(requirements_of(row)))
        parts = replace(self._parts, limits=limits_of(row, self._parts.limits))
        deployment = Deployment(row.number, config, parse_bindings(config, self._context), parts)
        try:
            await deployment.open()
        except BaseException:
            await deployment.aclose()
            raise
        return self._open.setdefault(row.id, deployment)

    def config(self, row: VersionRow) -> Config:
        folder = self.bundles.path(row.bundle)
        return config_of(row, folder, lambda name, sealed: self.seal.open(row.worker, name, sealed))

    async def deploy(self, name: str, versions: Sequence[tuple[VersionRow, float]], **about: Any) -> DeploymentRow:
        """Make these answer. Raises what ``prepare`` raises, and then nothing has changed."""
        worker = self.worker(name)
        async with worker.lock:
            before = worker.rollout.failing if worker.rollout else None
            arms = [Arm(row, await self.prepare(row), share) for row, share in versions]
            shares = [(row.id, share) for row, share in versions]
            row = DeploymentRow(id=str(uuid.uuid4()), worker=name, versions=shares, created=now(), **about)
            await asyncio.to_thread(self.registry.add_deployment, row)
            judge = None if before is None else partial(self._judge, worker, before)
            self._swap(worker, Rollout(row, arms, judge))
        return row

    async def delete(self, name: str) -> None:
        worker = self.workers.pop(name, None)
        await asyncio.to_thread(self.registry.delete, name)
        if worker is not None:
            worker.rollout, old = None, worker.rollout
            worker.broken = NotDeployed(f"the worker {name!r} was deleted")
            worker.opened.set()
            self._retire_unused([arm.row.id for arm in old.arms] if old else [])

    async def handle(self, name: str, event: Event) -> object:
        """The outcome of an event, of the version that would answer a request. Raises ``UserError``."""
        if (worker := self.workers.get(name)) is None:
            raise NotDeployed("there is no such worker on this host", where=name)
        return await (await worker.current([])).arm.deployment.handle(event)

    def deployments(self) -> list[Deployment]:
        """Every version that is open."""
        return list(self._open.values())

    def give_up(self, deployment: Deployment, why: str) -> None:
        """Traffic returns to what answered before; without anything before, it stays and keeps being begun again."""
        worker = self.workers.get(deployment.config.name)
        if worker is not None and worker.rollout is not None:
            self._spawn(self._return(worker, worker.rollout, why))

    def _judge(self, worker: Worker, before: float, rollout: Rollout) -> None:
        """A new deployment fails: far more often than the one before, in its first minutes?"""
        young = time.monotonic() - rollout.began < _TRIAL_S
        enough = sum(arm.answered for arm in rollout.arms) >= _MIN_REQUESTS
        if young and enough and rollout.failing > max(_MAX_FAILURE_SHARE, 4 * before) and rollout.give_up():
            self._spawn(self._return(worker, rollout, f"{rollout.failing:.0%} of its requests fail"))

    async def _return(self, worker: Worker, rollout: Rollout, why: str) -> None:
        """To the newest earlier deployment that names none of these versions."""
        failing = {arm.row.id for arm in rollout.arms}
        earlier = await asyncio.to_thread(self.registry.deployments, worker.name, 20)
        before = next((row for row in earlier if not failing & {id for id, _ in row.versions}), None)
        message = f"{worker.name} version {worker.version}: {why}"
        rows = [(self.registry.version(id), share) for id, share in before.versions] if before else []
        versions = [(row, share) for row, share in rows if row is not None]
        if not versions:
            return self._observer.error(f"{message}; there is no earlier version to go back to")
        if worker.rollout is rollout:
            await self.deploy(worker.name, versions, source="host", note=f"went back: {why}")
            self._observer.error(f"{message}; version {worker.version} answers again")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    def let_go(self, id: str) -> None:
        """A version that was opened to see whether it loads, and is not deployed."""
        self._retire_unused([id])

    def report(self, prefix: str) -> list[dict[str, Any]]:
        """One row per worker, for a status."""
        return [_report(worker, f"{prefix}{worker.name}/") for worker in self.workers.values()]

    async def aclose(self, drain: float) -> None:
        self._retire_unused(list(self._open), in_use=set())
        if self._retiring:
            _, late = await asyncio.wait(self._retiring, timeout=drain)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _restore(self, worker: Worker) -> None:
        try:
            newest = next(iter(self.registry.deployments(worker.name, 1)), None)
            if newest is not None:
                rows = [(self.registry.version(id), share) for id, share in newest.versions]
                arms = [Arm(row, await self.prepare(row), share) for row, share in rows if row is not None]
                self._swap(worker, Rollout(newest, arms))
        except UserError as error:
            worker.broken = error
            self._observer.error(f"{worker.name} does not start: {error}")
        finally:
            worker.opened.set()

    def _swap(self, worker: Worker, rollout: Rollout) -> None:
        old, worker.rollout, worker.broken = worker.rollout, rollout, None
        worker.opened.set()
        self._retire_unused([arm.row.id for arm in old.arms] if old else [])

    def _retire_unused(self, ids: Sequence[str], in_use: set[str] | None = None) -> None:
        if in_use is None:
            rollouts = [worker.rollout for worker in self.workers.values() if worker.rollout]
            in_use = {arm.row.id for rollout in rollouts for arm in rollout.arms}
        for id in set(ids) - in_use:
            if (deployment := self._open.pop(id, None)) is not None:
                self._spawn(deployment.retire())


def _report(worker: Worker, url: str) -> dict[str, Any]:
    arms = worker.rollout.arms if worker.rollout else ()
    state = "serving" if arms else "broken" if worker.broken else "empty"
    return {
        "name": worker.name,
        "state": state,
        "url": url,
        "version": worker.version,
        "isolates": sum(slot.alive for arm in arms for slot in arm.deployment.slots),
        "requests": sum(arm.answered for arm in arms),
        "failed": sum(arm.failed for arm in arms),
    }


__all__ = ["Fleet", "NotDeployed", "Worker"]
