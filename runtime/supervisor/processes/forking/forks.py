"""Isolates as forks of a zygote: about 10 ms each, and its imported packages are there already."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence

from runtime.errors import Fault
from runtime.isolate.script.hidden import OURS, top_of
from runtime.supervisor.limits import IsolateLost
from runtime.supervisor.processes.forking.zygotes import ForkedChild, Zygote
from runtime.supervisor.processes.spawning import NO_SHELF, Child, OnLine, Rules, Shelf, output_pipes


class ForkSpawner:
    """Owns the zygotes, one for each shelf that is in use; starts a new one when one is gone."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._spare: Zygote | None = None  # one that no shelf has taken yet
        self._zygotes: dict[Shelf, Zygote] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._latest = NO_SHELF

    def begin(self) -> None:
        self._spare = Zygote(self._environment, self._idle)

    async def start(self) -> None:
        self._spare = self._spare or Zygote(self._environment, self._idle)
        self._spare.follow()

    async def spawn(self, sock: socket.socket, on_line: OnLine, rules: Rules = None, shelf: Shelf = NO_SHELF) -> Child:
        pipes = await output_pipes(on_line)
        try:
            return await self._fork(shelf, [sock.fileno(), *pipes], rules)
        except (OSError, Fault) as error:  # not again with this socket: a fork that nobody heard of may have its end
            raise IsolateLost(f"no process could be begun: {error or type(error).__name__}") from None
        finally:
            for descriptor in pipes:
                os.close(descriptor)
            sock.close()

    def preload(self, modules: Sequence[str], shelf: Shelf = NO_SHELF, *, safe: bool = False) -> None:
        wanted = modules if safe else sorted({name if name.startswith(OURS) else top_of(name) for name in modules})
        self._zygote(shelf).preload(dict.fromkeys(wanted, safe))

    async def aclose(self) -> None:
        spare = [self._spare] if self._spare is not None else []
        await asyncio.gather(*(zygote.aclose() for zygote in (*spare, *self._zygotes.values())), *self._leaving)

    async def _fork(self, shelf: Shelf, descriptors: list[int], rules: Rules) -> ForkedChild:
        return await self._zygote(shelf).fork(descriptors, rules)

    def _zygote(self, shelf: Shelf) -> Zygote:
        """The one of this shelf; one that has died has a successor, which is asked to import the same."""
        self._latest = shelf
        before = self._zygotes.get(shelf)
        if before is not None and before.alive:
            return before
        zygote, self._spare = self._spare, None
        if zygote is None or not zygote.alive:
            zygote = Zygote(self._environment, self._idle)
            zygote.follow()
        zygote.shelf = shelf
        self._zygotes[shelf] = zygote
        if before is not None:
            zygote.unsafe = before.unsafe
            zygote.preload(before.modules)
        return zygote

    def _idle(self, zygote: Zygote) -> None:
        """What its worker depended on has changed, and the last process that has the old packages is gone."""
        if zygote.shelf != self._latest and self._zygotes.get(zygote.shelf) is zygote:
            del self._zygotes[zygote.shelf]
            task = asyncio.create_task(zygote.aclose())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)


__all__ = ["ForkSpawner"]
