"""WebSockets that are open all the time, and those that new code may not close.

Half of a crowd's lead to an object that hibernates, which the supervisor keeps; the others live in an isolate, and end
with it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.faults.kept.deployed import SOCKETS, WORKERS, deploy, written
from bench.faults.kept.deployed import sockets as deployed
from bench.faults.kept.table import SocketsRow
from bench.faults.machine import PATIENCE_S, Dev, Machine

_PAUSE_S = 0.2  # seconds between two messages of one socket
_RELOAD_S = 30.0
_ANSWER_S, _FORGIVEN_S = 10.0, 2.0  # a message that went with its process has no answer


@dataclass(eq=False)
class Talker:
    """One socket. ``suffers``: that it closes is the fault's doing. ``forgives``: a message may go with its process."""

    machine: Machine
    path: str
    suffers: bool = False
    forgives: bool = False
    answered: int = 0
    well_since: float = 0.0
    errors: list[str] = field(default_factory=list)

    async def run(self, over: asyncio.Event) -> None:
        """One that is closed is opened again."""
        while not over.is_set():
            try:
                async with self.machine.http.ws_connect(f"{self.machine.url}/_w/sockets{self.path}") as socket:
                    while not over.is_set():
                        await self._talk(socket)
                        await asyncio.sleep(_PAUSE_S)
            except (aiohttp.ClientError, OSError, TypeError, TimeoutError) as error:
                if not self.suffers:
                    self.errors.append(f"{self.path}: {type(error).__name__}: {error}")
                await asyncio.sleep(0.05)

    async def healed(self, since: float) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.well_since <= since:
                await asyncio.sleep(0.02)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Raises TypeError: it is closed; TimeoutError: a message is not answered."""
        began = time.monotonic()
        await socket.send_str("x")
        try:
            assert (await socket.receive_str(timeout=_FORGIVEN_S if self.forgives else _ANSWER_S)).endswith(" x")
        except TimeoutError:
            if not self.forgives:
                raise
        else:
            self.answered, self.well_since = self.answered + 1, began


def crowd(machine: Machine, count: int) -> list[Talker]:
    return [Talker(machine, "/own" if number % 2 else f"/room-{number % 7}") for number in range(count)]


async def at_deploys(folder: Path, count: int, times: int) -> AsyncIterator[SocketsRow]:
    async with Machine(folder) as machine:
        source = folder / "worker"
        await deployed(machine, source)

        async def change(version: int) -> None:
            written(source, SOCKETS, _of(version))
            await deploy(machine, source)

        yield await _at_changes(SocketsRow("deploys", times, count), machine, "/_w/sockets", change)


async def at_reloads(folder: Path, count: int, times: int) -> AsyncIterator[SocketsRow]:
    written(folder / "worker", SOCKETS, _of(1))
    async with Dev(folder) as machine:

        async def change(version: int) -> None:
            (folder / "worker/entry.py").write_text(_of(version))

        yield await _at_changes(SocketsRow("reloads", times, count), machine, "", change)


async def _at_changes(
    row: SocketsRow, machine: Machine, prefix: str, change: Callable[[int], Awaitable[None]]
) -> SocketsRow:
    """After each change a socket in seven, and after the last one every socket, is answered by the new code."""
    urls = [f"{machine.url}{prefix}/room-{number % 7}" for number in range(row.sockets)]
    opened = [await machine.http.ws_connect(url) for url in urls]
    for version in range(2, row.times + 2):
        await change(version)
        for socket in opened[:: 1 if version == row.times + 1 else 7]:
            row.answered += await _says(socket, f"{version} x")
    row.closed = sum(socket.closed or socket.close_code is not None for socket in opened)
    for socket in opened:
        await socket.close()
    return row


async def _says(socket: aiohttp.ClientWebSocketResponse, wanted: str) -> bool:
    """Whether it does within a while: a save is seen within a moment."""
    until = time.monotonic() + _RELOAD_S
    with suppress(TypeError, TimeoutError, aiohttp.ClientError, OSError):
        while time.monotonic() < until:
            await socket.send_str("x")
            if await socket.receive_str(timeout=_RELOAD_S) == wanted:
                return True
            await asyncio.sleep(0.01)
    return False


def _of(version: int) -> str:
    return (WORKERS / "sockets.py").read_text().replace("VERSION = 1", f"VERSION = {version}")


__all__ = ["Talker", "at_deploys", "at_reloads", "crowd"]
