"""A limited process that is started before it is needed, for the imports take longer than most of what it does.

Theory of operation
-------------------
It is used once, as every limited process is: nothing of one file is left when the next one comes. Once a request is
over, the next process is started; it imports what it needs, and waits at its standard input, a Unix socket, for its
request and the descriptors that belong to it. Whoever finds none, since others came just before, starts one. One that
waits for longer than ``IDLE_S`` ends, and so does one whose supervisor does: the socket closes.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from bindings.limited.child import LENGTH_BYTES
from bindings.limited.parent import ended, start

IDLE_S = 60.0


class _Started(NamedTuple):
    process: Process
    requests: socket.socket

    def waits(self) -> bool:
        """Its end of the socket closes with it, which is seen before anybody is told that it has ended."""
        if self.process.returncode is not None:
            return False
        try:
            return bool(self.requests.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    async def aclose(self) -> None:
        self.requests.close()
        await ended(self.process)


class Spare:
    """Of the processes of ``module``, which begins with ``child.receive``."""

    def __init__(self, module: str, idle_s: float = IDLE_S) -> None:
        self._module, self._idle_s = module, idle_s
        self._next: asyncio.Task[_Started] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @asynccontextmanager
    async def running(self, request: bytes, wall_s: float, descriptors: Sequence[int]) -> AsyncIterator[Process]:
        """A process that has got these, until the block ends. Raises TimeoutError after ``wall_s`` seconds, OSError."""
        started = await self._taken()
        try:
            async with asyncio.timeout(wall_s):
                await _send(started.requests, request, descriptors)
                yield started.process
        finally:
            await started.aclose()
            self._prepare()

    async def aclose(self) -> None:
        self._closed = True
        self._let_go()
        await asyncio.gather(*self._ending)

    async def _taken(self) -> _Started:
        prepared, self._next = self._next, None
        if prepared is not None and (started := await self._of(prepared)) is not None:
            return started
        return await _started(self._module)

    async def _of(self, prepared: asyncio.Task[_Started]) -> _Started | None:
        try:
            started = await asyncio.shield(prepared)
        except OSError:  # perhaps it can be started now
            return None
        except asyncio.CancelledError:
            self._end(prepared)
            raise
        if started.waits():
            return started
        await started.aclose()  # something has ended it
        return None

    def _prepare(self) -> None:
        if self._next is None and not self._closed:
            self._next = asyncio.create_task(_started(self._module))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._let_go)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        prepared, self._next = self._next, None
        if prepared is not None:
            self._end(prepared)

    def _end(self, prepared: asyncio.Task[_Started]) -> None:
        ending = asyncio.create_task(_ended(prepared))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


async def _ended(prepared: asyncio.Task[_Started]) -> None:
    with suppress(OSError):  # it was never started
        await (await prepared).aclose()


async def _started(module: str) -> _Started:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        return _Started(await start(module, stdin=theirs.fileno()), ours)


async def _send(requests: socket.socket, request: bytes, descriptors: Sequence[int]) -> None:
    socket.send_fds(requests, [len(request).to_bytes(LENGTH_BYTES, "big")], descriptors)
    await asyncio.get_running_loop().sock_sendall(requests, request)


__all__ = ["Spare"]
