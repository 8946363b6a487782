"""Notices a worker that has blocked its event loop, and says where it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.process import Process
from runtime.wire import ChannelClosed, RemoteError

_LOOK = 0.5  # seconds between two looks
_MISSED = 4  # looks without a sign of life; not seconds: a machine that slept accuses nobody


class _Care:
    """What is known of one process."""

    def __init__(self, process: Process) -> None:
        self.missed = 0
        self.beat = asyncio.create_task(_ask(process))


class Stalls:
    """Asks an isolate that has requests for a sign of life; a request itself costs nothing more."""

    def __init__(self, observer: Observer, deployments: Callable[[], Iterable[Deployment]]) -> None:
        self._observer, self._deployments = observer, deployments
        self._care: dict[Process, _Care] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def watch(self) -> None:
        """For ever."""
        try:
            while True:
                await asyncio.sleep(_LOOK)
                self._look_round()
        finally:
            for task in (*self._telling, *(care.beat for care in self._care.values())):
                task.cancel()

    def _look_round(self) -> None:
        open_ = {slot.process: deployment for deployment in self._deployments() for slot in deployment.slots}
        for process, deployment in open_.items():
            if process is not None and process.child.pid is not None:  # else it is the worker that blocks us too
                self._look(deployment, process)
        for gone in [process for process in self._care.keys() - open_.keys() if not process.alive]:
            del self._care[gone]

    def _look(self, deployment: Deployment, process: Process) -> None:
        care = self._care.get(process)
        if care is None:
            if process.broker.exchanges and process.alive:
                self._care[process] = _Care(process)
        elif care.beat.done():
            del self._care[process]
            self._mended(deployment, process, care)
        else:
            care.missed += 1
            if care.missed == _MISSED:
                self._blocked(deployment, process)

    def _blocked(self, deployment: Deployment, process: Process) -> None:
        process.blocked = True
        task = asyncio.create_task(self._tell(deployment, process))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, deployment: Deployment, process: Process) -> None:
        stacks, exchanges = process.stacks, list(process.broker.exchanges.values())
        frames = await stacks.now()
        if process.blocked:
            waiting = [_named(exchange) for exchange in exchanges if not exchange.status] or [*map(_named, exchanges)]
            self._observer.blocked(
                deployment.config.name, _MISSED * _LOOK, waiting, stacks.place(frames), stacks.text(frames)
            )

    def _mended(self, deployment: Deployment, process: Process, care: _Care) -> None:
        if process.blocked and process.alive:
            name, seconds = deployment.config.name, care.missed * _LOOK
            self._observer.note(f"{name}: the event loop turns again, after {seconds:.0f} s")
        process.blocked = False


def _named(exchange: Exchange) -> str:
    return f"{exchange.method} {exchange.scope['root_path']}{exchange.scope['path']}"


async def _ask(process: Process) -> None:
    with suppress(ChannelClosed, RemoteError):
        await process.channel.call("beat")


__all__ = ["Stalls"]
