"""Looks after the isolates of a host: heartbeats, memory, and a new process where one has ended.

Every second each isolate is asked for a sign of life. One that gives none for ``stall_s`` blocks its event loop: it
is killed, and its requests end with 503 while other workers notice nothing. One that has grown to most of its memory
is replaced before it is in the way: the new process stands before the old one is let go. One that has more memory,
threads or temporary files than it may is killed (``usage`` counts, and says what it does not see). An isolate that
ends is begun again, after a pause that doubles while it keeps ending; a version whose isolates keep ending is given up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from runtime.errors import ScriptError
from runtime.supervisor.limits import IsolateLost, Limits
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.health.usage import CpuAccount, excess, temp_bytes, usage_of
from runtime.supervisor.processes.process import Process
from runtime.supervisor.processes.slot import IsolateSlot
from runtime.supervisor.processes.spawning import STOP_GRACE_S
from runtime.wire import ChannelClosed, RemoteError

_INTERVAL_S = 1.0  # seconds between two looks
_PAUSES = (0.1, 30.0)  # seconds before a process is begun again: at first, at most
_STEADY_S = 20.0  # seconds a process must live for its end to count as the first
_MAX_CRASHES = 5  # of one isolate, each soon after the last, until its version is given up
_REPLACE_AT_MEMORY_SHARE = 0.8  # of its memory: from there on an isolate is replaced


class _SlotHealth(msgspec.Struct):
    """What is known of one slot."""

    process: Process | None = None
    began: float = 0.0
    seen: float = 0.0  # when it last gave a sign of life
    temp: int = 0  # bytes of its temporary files
    cpu: CpuAccount | None = None
    stuck: bool = False  # a thread goes on that has used up its request's CPU time
    asking: asyncio.Task[None] | None = None
    mending: asyncio.Task[None] | None = None
    crashes: int = 0
    pause: float = _PAUSES[0]


class HealthMonitor:
    """``give_up(deployment, why)`` is called once for a version that keeps ending."""

    def __init__(self, limits: Limits, observer: Observer, give_up: Callable[[Deployment, str], None]) -> None:
        self._limits, self._observer, self._give_up = limits, observer, give_up
        self._slots: dict[IsolateSlot, _SlotHealth] = {}
        self._counting: asyncio.Task[None] | None = None

    async def keep(self, deployments: Callable[[], Iterable[Deployment]]) -> None:
        """For ever."""
        try:
            while True:
                await asyncio.sleep(_INTERVAL_S)
                open_ = list(deployments())
                slots = {slot: deployment for deployment in open_ for slot in deployment.watched}
                for gone in self._slots.keys() - slots.keys():
                    self._forget(gone)
                for slot, deployment in slots.items():
                    self._look(slot, deployment)
                if self._counting is None or self._counting.done():
                    self._counting = asyncio.create_task(self._count_files())
        finally:
            if self._counting is not None:
                self._counting.cancel()
            for slot in list(self._slots):
                self._forget(slot)

    def _look(self, slot: IsolateSlot, deployment: Deployment) -> None:
        health = self._slots.setdefault(slot, _SlotHealth())
        if health.mending is not None and not health.mending.done():
            return
        if slot.process is not health.process:
            now = time.monotonic()
            health.process, health.began, health.seen, health.temp = slot.process, now, now, 0
            health.cpu, health.stuck = None, False
        limits = deployment.limits or self._limits
        if not slot.alive:
            health.mending = asyncio.create_task(self._mend(slot, health, deployment))
        elif time.monotonic() - health.seen > limits.stall_s:
            self._kill(slot, deployment, f"gave no sign of life for {limits.stall_s} s (stall_s)")
        elif why := excess(usage := usage_of(slot.pid, limits), health.temp, limits):
            self._kill(slot, deployment, why)
        elif health.process is not None and self._overspent(health, health.process, usage.cpu_s, limits):
            self._end_spent(slot, health, health.process, deployment, limits)
        elif usage.memory > _REPLACE_AT_MEMORY_SHARE * (limits.memory_mb << 20):
            what = f"uses {usage.memory >> 20} of {limits.memory_mb} MB of memory"
            health.mending = asyncio.create_task(self._replace(slot, deployment, what))
        elif health.asking is None or health.asking.done():
            health.asking = asyncio.create_task(_ask(health))

    def _overspent(self, health: _SlotHealth, process: Process, cpu_s: float, limits: Limits) -> bool:
        at_work = process.broker.at_work
        if health.cpu is None:  # what the import has used is nobody's
            health.cpu = CpuAccount(limits.cpu_ms / 1000, cpu_s, at_work.begun)
        return health.cpu.is_overdrawn(cpu_s, at_work.begun, len(at_work.activities)) or health.stuck

    def _end_spent(
        self, slot: IsolateSlot, health: _SlotHealth, process: Process, deployment: Deployment, limits: Limits
    ) -> None:
        """Its requests, where it is theirs; else another process takes its place, and they end in peace."""
        what = f"goes on after {limits.cpu_ms} ms of CPU time (cpu_ms)"
        if process.broker.at_work.activities and not health.stuck:
            process.spent = True
            self._kill(slot, deployment, what)
        else:
            health.mending = asyncio.create_task(self._replace(slot, deployment, what))

    async def _count_files(self) -> None:
        """Off the loop: a folder may be large, and a disk slow."""
        looked = [(health, health.process) for health in self._slots.values()]
        places = [(process.temp, process.child.pid) for _, process in looked if process is not None and process.temp]
        sizes = await asyncio.to_thread(lambda: {folder: temp_bytes(folder, pid) for folder, pid in places})
        for health, process in looked:
            if process is not None and process is health.process and process.temp:
                health.temp = sizes[process.temp]

    def _kill(self, slot: IsolateSlot, deployment: Deployment, why: str) -> None:
        """From now on nothing goes to it any more, however long it takes to end."""
        if slot.process is not None:
            slot.process.child.kill()
            slot.process.channel.abort()
        self._observer.warn(f"{_named(deployment)}: isolate {slot.pid} {why}; it is killed and replaced")

    async def _mend(self, slot: IsolateSlot, health: _SlotHealth, deployment: Deployment) -> None:
        """Begin again, after a pause; the first time almost at once."""
        bereft = health.process is not None and health.process.child.bereft
        steady = bereft or time.monotonic() - health.began > _STEADY_S  # its zygote's end is no fault of the version's
        health.crashes, health.pause = (1, _PAUSES[0]) if steady else (health.crashes + 1, health.pause)
        if health.crashes == _MAX_CRASHES:
            self._give_up(deployment, f"its processes keep ending ({_MAX_CRASHES} times in a row)")
        slot.rests = health.crashes > 1
        await asyncio.sleep(health.pause)
        health.pause = min(health.pause * 2, _PAUSES[1])
        slot.rests = False
        try:
            await slot.serving()
        except IsolateLost:
            return  # its version was let go meanwhile, or its zygote was killed: the next look says which
        except ScriptError as error:
            self._observer.warn(f"{_named(deployment)}: an isolate does not begin: {error}")

    async def _replace(self, slot: IsolateSlot, deployment: Deployment, what: str) -> None:
        self._observer.note(f"{_named(deployment)}: isolate {slot.pid} {what}; another takes its place")
        with suppress(ScriptError):
            await slot.replace(deployment.config.pilot.wait_until + STOP_GRACE_S)

    def _forget(self, slot: IsolateSlot) -> None:
        health = self._slots.pop(slot)
        for task in (health.asking, health.mending):
            if task is not None:
                task.cancel()


async def _ask(health: _SlotHealth) -> None:
    process = health.process
    if process is not None:
        with suppress(ChannelClosed, RemoteError):
            health.stuck = bool(await process.channel.call("beat"))
            health.seen = time.monotonic()


def _named(deployment: Deployment) -> str:
    return f"{deployment.config.name} version {deployment.version}"


__all__ = ["HealthMonitor"]
