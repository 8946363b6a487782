"""The place of one isolate in a deployment, whichever process is in it."""

from __future__ import annotations

import asyncio

from runtime.supervisor.limits import IsolateLost
from runtime.supervisor.processes.process import Process, Starter


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


__all__ = ["IsolateSlot"]
