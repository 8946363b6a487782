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
from runtime.supervisor.processes.isolates import GRACE
from runtime.supervisor.processes.process import Process
from runtime.wire import ChannelClosed, RemoteError

_LOOK = 1.0  # seconds between two looks
_PAUSES = (0.1, 30.0)  # seconds before a process is begun again: at first, at most
_STEADY = 20.0  # seconds a process must live for its end to count as the first
_CRASHES = 5  # of one isolate, each soon after the last, until its version is given up
_MOST = 0.8  # of its memory: from there on an isolate is replaced
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass
class _Care:
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
        self._care: dict[IsolateSlot, _Care] = {}

    async def keep(self, deployments: Callable[[], Iterable[Deployment]]) -> None:
        """For ever."""
        try:
            while True:
                await asyncio.sleep(_LOOK)
                open_ = list(deployments())
                slots = {slot: deployment for deployment in open_ for slot in deployment.slots}
                for gone in self._care.keys() - slots.keys():
                    self._forget(gone)
                for slot, deployment in slots.items():
                    self._look(slot, deployment)
        finally:
            for slot in list(self._care):
                self._forget(slot)

    def _look(self, slot: IsolateSlot, deployment: Deployment) -> None:
        care = self._care.setdefault(slot, _Care())
        if care.mending is not None and not care.mending.done():
            return
        if slot.process is not care.process:
            now = time.monotonic()
            care.process, care.began, care.seen = slot.process, now, now
        if not slot.alive:
            care.mending = asyncio.create_task(self._mend(slot, care, deployment))
        elif time.monotonic() - care.seen > self._limits.stall_s:
            self._kill(slot, deployment, f"gave no sign of life for {self._limits.stall_s} s (stall_s)")
        elif (size := memory_of(slot.pid)) > self._limits.memory_mb << 20:
            self._kill(slot, deployment, f"uses {size >> 20} MB of memory (memory_mb: {self._limits.memory_mb})")
        elif size > _MOST * (self._limits.memory_mb << 20):
            care.mending = asyncio.create_task(self._replace(slot, deployment, size))
        elif care.asking is None or care.asking.done():
            care.asking = asyncio.create_task(_ask(care))

    def _kill(self, slot: IsolateSlot, deployment: Deployment, why: str) -> None:
        self._observer.warn(f"{_named(deployment)}: isolate {slot.pid} {why}; it is killed and replaced")
        if slot.process is not None:
            slot.process.child.kill()

    async def _mend(self, slot: IsolateSlot, care: _Care, deployment: Deployment) -> None:
        """Begin again, after a pause; the first time almost at once."""
        steady = time.monotonic() - care.began > _STEADY
        care.crashes, care.pause = (1, _PAUSES[0]) if steady else (care.crashes + 1, care.pause)
        if care.crashes == _CRASHES:
            self._give_up(deployment, f"its processes keep ending ({_CRASHES} times in a row)")
        slot.rests = care.crashes > 1
        await asyncio.sleep(care.pause)
        care.pause = min(care.pause * 2, _PAUSES[1])
        slot.rests = False
        try:
            await slot.serving()
        except ScriptError as error:
            self._observer.warn(f"{_named(deployment)}: an isolate does not begin: {error}")

    async def _replace(self, slot: IsolateSlot, deployment: Deployment, size: int) -> None:
        most = f"{size >> 20} of {self._limits.memory_mb} MB"
        self._observer.note(f"{_named(deployment)}: isolate {slot.pid} uses {most} of memory; another takes its place")
        with suppress(ScriptError):
            await slot.replace(deployment.config.pilot.wait_until + GRACE)

    def _forget(self, slot: IsolateSlot) -> None:
        care = self._care.pop(slot)
        for task in (care.asking, care.mending):
            if task is not None:
                task.cancel()


async def _ask(care: _Care) -> None:
    process = care.process
    if process is not None:
        with suppress(ChannelClosed, RemoteError):
            await process.channel.call("beat")
            care.seen = time.monotonic()


def memory_of(pid: int | None) -> int:
    """Resident bytes of a process that are its own, not shared with the zygote; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE


def _named(deployment: Deployment) -> str:
    return f"{deployment.config.name} version {deployment.version}"


__all__ = ["HealthMonitor", "memory_of"]
