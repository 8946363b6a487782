"""Notices a worker that has blocked its event loop, and says where it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.process import Process
from runtime.wire import ChannelClosed, RemoteError

_INTERVAL_S = 0.5  # seconds between two looks
_MAX_MISSED_BEATS = 4  # looks without a sign of life; not seconds: a machine that slept accuses nobody


class _Heartbeat:
    """What is known of one process."""

    def __init__(self, process: Process) -> None:
        self.missed = 0
        self.beat = asyncio.create_task(_ask(process))


class Stalls:
    """Asks an isolate that has requests for a sign of life; a request itself costs nothing more."""

    def __init__(self, observer: Observer, deployments: Callable[[], Iterable[Deployment]]) -> None:
        self._observer, self._deployments = observer, deployments
        self._heartbeats: dict[Process, _Heartbeat] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """For ever."""
        try:
            while True:
                await asyncio.sleep(_INTERVAL_S)
                self._look_round()
        finally:
            for task in (*self._telling, *(heartbeat.beat for heartbeat in self._heartbeats.values())):
                task.cancel()

    def _look_round(self) -> None:
        open_ = {slot.process: deployment for deployment in self._deployments() for slot in deployment.watched}
        for process, deployment in open_.items():
            if process is not None and process.child.pid is not None:  # else it is the worker that blocks us too
                self._look(deployment, process)
        for gone in [process for process in self._heartbeats.keys() - open_.keys() if not process.alive]:
            del self._heartbeats[gone]

    def _look(self, deployment: Deployment, process: Process) -> None:
        heartbeat = self._heartbeats.get(process)
        if heartbeat is None:
            if process.broker.at_work.activities and process.alive:
                self._heartbeats[process] = _Heartbeat(process)
        elif heartbeat.beat.done():
            del self._heartbeats[process]
            self._mended(deployment, process, heartbeat)
        else:
            heartbeat.missed += 1
            if heartbeat.missed == _MAX_MISSED_BEATS:
                self._blocked(deployment, process)

    def _blocked(self, deployment: Deployment, process: Process) -> None:
        process.blocked = True
        task = asyncio.create_task(self._tell(deployment, process))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, deployment: Deployment, process: Process) -> None:
        stacks, at_work = process.stacks, list(process.broker.at_work.activities.values())
        frames = await stacks.now()
        if process.blocked:
            waiting = [activity.name for activity in at_work if not activity.status]
            self._observer.blocked(
                deployment.config.name,
                _MAX_MISSED_BEATS * _INTERVAL_S,
                waiting or [activity.name for activity in at_work],
                stacks.place(frames),
                stacks.text(frames),
            )

    def _mended(self, deployment: Deployment, process: Process, heartbeat: _Heartbeat) -> None:
        if process.blocked and process.alive:
            name, seconds = deployment.config.name, heartbeat.missed * _INTERVAL_S
            self._observer.note(f"{name}: the event loop turns again, after {seconds:.0f} s")
        process.blocked = False


async def _ask(process: Process) -> None:
    with suppress(ChannelClosed, RemoteError):
        await process.channel.call("beat")


__all__ = ["Stalls"]
