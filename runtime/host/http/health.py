"""Looks after the isolates of a host: heartbeats, memory, and a new process where one has ended.

Every second each isolate is asked for a sign of life. One that gives none for ``stall_s`` blocks its event loop: it
is killed, and its requests end with 503 while other workers notice nothing. One that has grown to most of its memory
is replaced before it is in the way: the new process stands before the old one is let go. An isolate that ends is
begun again, after a pause that doubles while it keeps ending; a version whose isolates keep ending is given up.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from runtime.errors import ScriptError
from runtime.supervisor.limits import Limits
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes.deployment import Deployment, IsolateSlot
from runtime.supervisor.processes.process import Process
from runtime.supervisor.processes.spawning import STOP_GRACE_S
from runtime.wire import ChannelClosed, RemoteError

_INTERVAL_S = 1.0  # seconds between two looks
_PAUSES = (0.1, 30.0)  # seconds before a process is begun again: at first, at most
_STEADY_S = 20.0  # seconds a process must live for its end to count as the first
_MAX_CRASHES = 5  # of one isolate, each soon after the last, until its version is given up
_REPLACE_AT_MEMORY_SHARE = 0.8  # of its memory: from there on an isolate is replaced
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass
class _SlotHealth:
    """What is known of one slot."""

    process: Process | None = None
    began: float = 0.0
    seen: float = 0.0  # when it last gave a sign of life
    asking: asyncio.Task[None] | None = None
    mending: asyncio.Task[None] | None = None
    crashes: int = 0
    pause: float = _PAUSES[0]


class HealthMonitor:
    """``give_up(deployment, why)`` is called once for a version that keeps ending."""

    def __init__(self, limits: Limits, observer: Observer, give_up: Callable[[Deployment, str], None]) -> None:
        self._limits, self._observer, self._give_up = limits, observer, give_up
        self._slots: dict[IsolateSlot, _SlotHealth] = {}

    async def keep(self, deployments: Callable[[], Iterable[Deployment]]) -> None:
        """For ever."""
        try:
            while True:
                await asyncio.sleep(_INTERVAL_S)
                open_ = list(deployments())
                slots = {slot: deployment for deployment in open_ for slot in deployment.slots}
                for gone in self._slots.keys() - slots.keys():
                    self._forget(gone)
                for slot, deployment in slots.items():
                    self._look(slot, deployment)
        finally:
            for slot in list(self._slots):
                self._forget(slot)

    def _look(self, slot: IsolateSlot, deployment: Deployment) -> None:
        health = self._slots.setdefault(slot, _SlotHealth())
        if health.mending is not None and not health.mending.done():
            return
        if slot.process is not health.process:
            now = time.monotonic()
            health.process, health.began, health.seen = slot.process, now, now
        if not slot.alive:
            health.mending = asyncio.create_task(self._mend(slot, health, deployment))
        elif time.monotonic() - health.seen > self._limits.stall_s:
            self._kill(slot, deployment, f"gave no sign of life for {self._limits.stall_s} s (stall_s)")
        elif (size := memory_of(slot.pid)) > self._limits.memory_mb << 20:
            self._kill(slot, deployment, f"uses {size >> 20} MB of memory (memory_mb: {self._limits.memory_mb})")
        elif size > _REPLACE_AT_MEMORY_SHARE * (self._limits.memory_mb << 20):
            health.mending = asyncio.create_task(self._replace(slot, deployment, size))
        elif health.asking is None or health.asking.done():
            health.asking = asyncio.create_task(_ask(health))

    def _kill(self, slot: IsolateSlot, deployment: Deployment, why: str) -> None:
        self._observer.warn(f"{_named(deployment)}: isolate {slot.pid} {why}; it is killed and replaced")
        if slot.process is not None:
            slot.process.child.kill()

    async def _mend(self, slot: IsolateSlot, health: _SlotHealth, deployment: Deployment) -> None:
        """Begin again, after a pause; the first time almost at once."""
        steady = time.monotonic() - health.began > _STEADY_S
        health.crashes, health.pause = (1, _PAUSES[0]) if steady else (health.crashes + 1, health.pause)
        if health.crashes == _MAX_CRASHES:
            self._give_up(deployment, f"its processes keep ending ({_MAX_CRASHES} times in a row)")
        slot.rests = health.crashes > 1
        await asyncio.sleep(health.pause)
        health.pause = min(health.pause * 2, _PAUSES[1])
        slot.rests = False
        try:
            await slot.serving()
        except ScriptError as error:
            self._observer.warn(f"{_named(deployment)}: an isolate does not begin: {error}")

    async def _replace(self, slot: IsolateSlot, deployment: Deployment, size: int) -> None:
        most = f"{size >> 20} of {self._limits.memory_mb} MB"
        self._observer.note(f"{_named(deployment)}: isolate {slot.pid} uses {most} of memory; another takes its place")
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
            await process.channel.call("beat")
            health.seen = time.monotonic()


def memory_of(pid: int | None) -> int:
    """Resident bytes of a process that are its own, not shared with the zygote; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE_BYTES


def _named(deployment: Deployment) -> str:
    return f"{deployment.config.name} version {deployment.version}"


__all__ = ["HealthMonitor", "memory_of"]
