"""``pilot host --fronts N``: begins the fronts, begins those anew that end, and ends them all."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from runtime.errors import UserError
from runtime.host.links.descriptors import pair
from runtime.host.links.keeper import SEAT, Seat
from runtime.supervisor.observe.base import Observer
from runtime.supervisor.server import bind

_PAUSES = (0.2, 10.0)  # seconds before a front is begun again: at first, at most
_STEADY_S = 30.0  # seconds it must have lived for its end to count as the first
_FIRST = 1
_GRACE_S = 10.0  # seconds beyond the time to drain


class Front(msgspec.Struct, eq=False):
    """One that lives. ``messages``: this end of the socket to it."""

    process: asyncio.subprocess.Process
    messages: socket.socket
    began: float

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Keeping:
    """``command``: what a front is begun with; ``drain``: seconds that it has to end."""

    def __init__(self, command: Sequence[str], fronts: int, port: int, drain: float, observer: Observer) -> None:
        self._command, self._fronts, self._port, self._observer = command, fronts, port, observer
        self._drain = drain
        self._living: dict[int, Front] = {}
        self._first_serves = asyncio.Event()
        self._stopping = False
        self._signalled = asyncio.Event()

    async def run(self) -> int:
        """Until told to stop. The exit code: the first front's, where that cannot begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop, number)
        keeping = [asyncio.create_task(self._keep(number)) for number in range(1, self._fronts + 1)]
        done, others = await asyncio.wait(keeping, return_when=asyncio.FIRST_COMPLETED)
        self._stopping = True
        if not self._signalled.is_set():
            self._stop(signal.SIGTERM)
        self._first_serves.set()  # whoever waits for it sees that there is no more to do
        if others:
            await asyncio.wait(others, timeout=self._drain + _GRACE_S)
        for front in self._living.values():
            front.signal(signal.SIGKILL)
        return max(task.result() for task in (*done, *others) if task.done())

    def _stop(self, number: int) -> None:
        self._stopping = True
        self._signalled.set()
        self._first_serves.set()
        for front in self._living.values():
            front.signal(number)

    async def _keep(self, number: int) -> int:
        """One front, begun again whenever it ends. Its exit code in the end."""
        pause, served = _PAUSES[0], False
        if number != _FIRST:
            await self._first_serves.wait()
        while not self._stopping:
            front = await self._begin(number)
            served = await self._serves(number, front) or served
            status = await front.process.wait()
            del self._living[number]
            front.messages.close()
            if self._stopping or (number == _FIRST and not served):
                return max(0, status)
            pause = _PAUSES[0] if time.monotonic() - front.began > _STEADY_S else min(2 * pause, _PAUSES[1])
            how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
            self._observer.warn(f"front {number} has ended ({how}); it is begun again")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._signalled.wait(), pause)
        return 0

    async def _begin(self, number: int) -> Front:
        ours, theirs = pair()
        ours.setblocking(False)
        seat = Seat(number, self._fronts, self._port, theirs.fileno())
        with theirs:  # a session of its own: a Ctrl-C in the terminal is for this process alone
            process = await asyncio.create_subprocess_exec(
                *self._command, pass_fds=[theirs.fileno()], env={**os.environ, SEAT: seat.told()},
                start_new_session=True,
            )  # fmt: skip
        front = self._living[number] = Front(process, ours, time.monotonic())
        for other in [other for other in self._living if _FIRST in (number, other) and other != number]:
            self._link(max(number, other))
        return front

    def _link(self, number: int) -> None:
        """This front and the first: a stream between them, and a way for connections."""
        stream, connections = socket.socketpair(), pair()
        for at, whose in enumerate((_FIRST, number)):
            ends = [stream[at].fileno(), connections[at].fileno()]
            with suppress(OSError):  # it has just ended
                socket.send_fds(self._living[whose].messages, [b"%d" % number], ends)
        for sock in (*stream, *connections):
            sock.close()

    async def _serves(self, number: int, front: Front) -> bool:
        """Once it does; False: it has ended before."""
        said = await asyncio.get_running_loop().sock_recv(front.messages, 64)
        if number == _FIRST and said:
            self._first_serves.set()
        return bool(said)


def keep(command: Sequence[str], fronts: int, host: str, port: int, drain: float, observer: Observer) -> None:
    """Blocks until stopped. Raises UserError: the address is taken."""
    if not hasattr(socket, "SO_REUSEPORT") or sys.platform != "linux":
        raise UserError("several fronts need Linux", where="--fronts", remedy="Leave it out, or:  --fronts 1")
    bind(host, port).close()  # nobody else has it; with a port that may be shared another host could
    with bind(host, port, shared=True) as reserved:  # bound, and not listening: the kernel gives it no connection
        number = reserved.getsockname()[1]
        if status := asyncio.run(Keeping(command, fronts, number, drain, observer).run()):
            sys.exit(status)


__all__ = ["Keeping", "keep"]
