"""Going back: a new deployment that fails gives way to the one before."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import partial

from runtime.errors import UserError
from runtime.host.store.registry import Registry
from runtime.host.store.rows import DeploymentRow, VersionRow
from runtime.host.versions.rollout import Rollout
from runtime.host.versions.turns import Turns
from runtime.host.worker import Worker
from runtime.supervisor.observe.base import Observer

_TRIAL_S = 300.0  # seconds in which a new deployment is watched
_MIN_REQUESTS = 20  # requests it must have had
_MAX_FAILURE_SHARE = 0.25  # share of failing ones that is too many, unless the one before was like that


class Returns:
    """``deploy`` is the fleet's."""

    def __init__(
        self, registry: Registry, turns: Turns, deploy: Callable[..., Awaitable[DeploymentRow]], observer: Observer
    ) -> None:
        self._registry, self._turns, self._deploy, self._observer = registry, turns, deploy, observer

    def begin(self, worker: Worker, rollout: Rollout, why: str) -> None:
        """Once it is the worker's turn."""
        self._turns.begin(worker.name, partial(self._return, worker, rollout, why))

    def judge(self, worker: Worker, before: float, rollout: Rollout) -> None:
        """A new deployment fails: far more often than the one before, in its first minutes?"""
        young = time.monotonic() - rollout.began < _TRIAL_S
        enough = sum(arm.answered for arm in rollout.arms) >= _MIN_REQUESTS
        if young and enough and rollout.failing > max(_MAX_FAILURE_SHARE, 4 * before) and rollout.give_up():
            why = f"{rollout.failing:.0%} of its requests fail"
            self.begin(worker, rollout, why)

    async def _return(self, worker: Worker, rollout: Rollout, why: str) -> None:
        """To the newest earlier deployment that names none of these versions; not when another has come meanwhile."""
        if worker.rollout is not rollout:
            return
        failing = {arm.row.id for arm in rollout.arms}
        message = f"{worker.name} version {worker.version}: {why}"
        try:
            versions = await asyncio.to_thread(self._earlier, worker.name, failing)
            if not versions:
                return self._observer.error(f"{message}; there is no earlier version to go back to")
            await self._deploy(worker.name, versions, source="host", note=f"went back: {why}")
            self._observer.error(f"{message}; version {worker.version} answers again")
        except (UserError, OSError, sqlite3.Error) as error:
            self._observer.error(f"{message}; it stays, for the one before cannot be begun: {error}")

    def _earlier(self, name: str, failing: set[str]) -> list[tuple[VersionRow, float]]:
        earlier = self._registry.deployments(name, 20)
        before = next((row for row in earlier if not failing & {id for id, _ in row.versions}), None)
        return self._registry.versions_of(before) if before is not None else []


__all__ = ["Returns"]
