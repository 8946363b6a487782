"""One worker of a host, as a request sees it: the rollout in force, or why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bindings.messages import Event
from runtime.config import PilotSettings
from runtime.errors import UserError
from runtime.host.versions.rollout import Arm, Rollout
from runtime.supervisor.calls.call import Callee
from runtime.supervisor.calls.reach import NotRunning
from runtime.supervisor.http.dispatch import Dispatch
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.traces.traces import Traces


class NotDeployed(UserError):
    """No version of this worker answers."""


class Chosen(NamedTuple):
    """The version for one request."""

    worker: Worker
    rollout: Rollout
    arm: Arm

    async def fetch(self, exchange: Exchange) -> None:
        await self.worker.traces.request(self.worker.name, exchange, self.rollout.fetch(self.arm, exchange))

    async def handle(self, event: Event) -> object:
        """Its outcome. Raises ``UserError``."""
        return await self.worker.traces.event(self.worker.name, event.about, self.arm.deployment.handle(event))


class Worker:
    """One worker by name; what ``Dispatch`` serves."""

    broken: UserError | None = None
    dispatch: Dispatch | None = None  # made by the first request, and gone with the worker

    def __init__(self, name: str, traces: Traces) -> None:
        self.name, self.traces = name, traces
        self.rollout: Rollout | None = None
        self.opened = asyncio.Event()  # or it is known why not
        self.domains: frozenset[str] = frozenset()
        self._pilot = PilotSettings()

    @property
    def version(self) -> int:
        return self.rollout.arms[0].row.number if self.rollout else 0

    @property
    def body_limit(self) -> int:
        return self.rollout.arms[0].deployment.config.pilot.body_limit if self.rollout else self._pilot.body_limit

    ready = None  # there is more to each request than its version

    async def current(self, headers: Sequence[tuple[bytes, bytes]]) -> Chosen:
        """The version for a request with these headers."""
        if self.rollout is None:
            await self.opened.wait()
        if self.rollout is None:
            raise self.broken or NotDeployed(f"the worker {self.name!r} has no deployment")
        return Chosen(self, self.rollout, self.rollout.choose(self.name, headers))


async def reach(workers: Mapping[str, Worker], name: str) -> Callee:
    """The version that answers another worker. Raises ``NotRunning``, or the ``UserError`` of why not."""
    if (worker := workers.get(name)) is None:
        raise NotRunning(name)
    return (await worker.current([])).arm.deployment


def at_hand(workers: Mapping[str, Worker], name: str) -> Callee | None:
    """The same, where there is one already."""
    worker = workers.get(name)
    return None if worker is None or worker.rollout is None else worker.rollout.choose(name, ()).deployment


__all__ = ["NotDeployed", "Worker", "at_hand", "reach"]
