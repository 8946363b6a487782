"""The place of one isolate in a deployment, whichever process is in it."""

from __future__ import annotations

import asyncio

from runtime.supervisor.limits import IsolateLost
from runtime.supervisor.processes.process import Process, Starter

_LEAVE_S = 2.0  # seconds that events of a resident have to finish: others wait meanwhile
_DRAIN_S = 10.0  # seconds that it has to write down what it holds


class IsolateSlot:
    """The place of one isolate: a process that has died is replaced when the next request comes to it."""

    def __init__(self, starter: Starter) -> None:
        self._starter, self._lock = starter, asyncio.Lock()
        self.process: Process | None = None
        self.active = 0  # requests
        self.rests = False  # it has died too often: its keeper says when it may begin again
        self._closed = False

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive

    @property
    def pid(self) -> int | None:
        return self.process.child.pid if self.process is not None else None

    async def serving(self) -> Process:
        """The process; a new one with the same code if it has died. Raises ``ScriptError``."""
        if self.process is not None and self.process.alive:
            return self.process
        if self.rests:
            raise IsolateLost("the worker's process has ended again and again; it begins again in a while")
        async with self._lock:
            if self.process is None or not self.process.alive:
                self.process = await self._begin()
            return self.process

    async def replace(self, grace_s: float) -> None:
        """A new process takes its place, before the old one is let go."""
        new = await self._begin()
        old, self.process = self.process, new
        if old is not None:
            await old.idle(grace_s)
            await old.drain(grace_s)
            await old.aclose()

    async def retire(self, grace_s: float) -> None:
        if self.process is not None and self.process.alive:
            await self.process.unneeded()
            await self.process.drain(grace_s)
        await self.aclose()

    async def aclose(self) -> None:
        self._closed = True
        if self.process is not None:
            await self.process.aclose()

    async def _begin(self) -> Process:
        """Unless the version is let go meanwhile: nobody would end what begins after that."""
        process = await self._starter.begin()
        if self._closed:
            await process.kill()
            raise IsolateLost("the version is not open any more")
        return process


class ResidentSlot(IsolateSlot):
    """The place of what is kept between requests. Who holds it (``residence``) sees to it that no other version's is;
    a process has ended before the next one begins."""

    held = False

    @property
    def at_hand(self) -> Process | None:
        """The process, if nothing is to be waited for."""
        process = self.process
        return process if process is not None and self.held and process.alive and not process.leaving else None

    async def serving(self) -> Process:
        """As of ``IsolateSlot``; ``IsolateLost``: another version has it."""
        if (process := self.at_hand) is not None:
            return process
        async with self._lock:
            if not self.held:
                raise IsolateLost("another version has the worker's objects")
            if self.rests:
                raise IsolateLost("the process of the worker's objects has ended again and again; it begins again soon")
            if self.process is None or not self.process.alive:
                if self.process is not None:
                    await self.process.kill()
                self.process = await self._begin()
            return self.process

    async def replace(self, grace_s: float) -> None:
        async with self._lock:
            await self._end()
            if self.held:
                self.process = await self._begin()

    async def renew(self) -> None:
        """The same, but that the new one begins when it is needed."""
        async with self._lock:
            await self._end()

    async def stop(self) -> None:
        """Its process finishes what it has begun, or is killed; none is left when this returns."""
        async with self._lock:
            self.held = False
            await self._end()

    async def retire(self, grace_s: float) -> None:
        await self.stop()
        self._closed = True

    async def aclose(self) -> None:
        """At once."""
        self._closed, self.held = True, False
        if self.process is not None:
            await self.process.aclose()

    async def _end(self) -> None:
        if (process := self.process) is not None:
            process.leaving = True
            await process.idle(_LEAVE_S)
            await process.drain(_DRAIN_S)
            await process.kill()
        self.process = None


__all__ = ["IsolateSlot", "ResidentSlot"]
