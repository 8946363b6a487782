"""Isolates as forks of the zygote: about 10 ms each, and its imported packages are there already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from typing import Any

from runtime.errors import Fault
from runtime.isolate import control
from runtime.processes import kill_group
from runtime.supervisor.limits import IsolateLost
from runtime.supervisor.processes.spawning import (
    STOP_GRACE_S,
    Child,
    OnLine,
    Rules,
    in_words,
    output_pipes,
    start_process,
)

_GONE = (OSError, Fault)  # what forking raises when there is no zygote any more, or none that answers
_FORK_TIMEOUT_S = 20.0  # seconds a fork may take: the zygote may be importing a package


class _ForkedChild:
    pid: int | None
    bereft: bool

    def __init__(self, pid: int) -> None:
        self.pid, self.bereft = pid, False
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ended(self) -> str:
        return in_words(await asyncio.shield(self.exit))

    def kill(self) -> None:
        if not self.exit.done() and self.pid is not None:
            kill_group(self.pid)


class ForkSpawner:
    """Owns the zygote; starts a new one when it is gone or can no longer be forked."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._begun: socket.socket | None = None
        self._pending_forks: dict[int, asyncio.Future[_ForkedChild]] = {}
        self._children: dict[int, _ForkedChild] = {}
        self._last_fork = 0
        self._modules: dict[str, None] = {}  # modules, in the order they were asked for
        self._paths: list[str] = []
        self._unsafe: set[str] = set()

    def begin(self) -> None:
        """Start the zygote's process, which has much to import; it ends when the socket closes."""
        self._begun = self._launched()

    async def start(self) -> None:
        control, self._begun = self._begun or self._launched(), None
        self._control = control
        asyncio.get_running_loop().add_reader(control, self._on_message, control)

    def _launched(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        self._process = start_process("runtime.isolate.zygote", self._environment, theirs)
        theirs.close()
        ours.setblocking(False)
        return ours

    async def spawn(self, sock: socket.socket, on_line: OnLine, rules: Rules = None) -> Child:
        pipes = await output_pipes(on_line)
        descriptors = [sock.fileno(), *pipes]
        try:
            return await self._fork(descriptors, rules)
        except _GONE as error:  # not again with this socket: a fork that nobody heard of may have its end of it
            raise IsolateLost(f"no process could be begun: {error or type(error).__name__}") from None
        finally:
            for descriptor in pipes:
                os.close(descriptor)
            sock.close()

    def preload(self, modules: list[str], paths: Sequence[str] = ()) -> None:
        if not self._modules.keys() >= set(modules):
            self._modules.update(dict.fromkeys(modules))
            self._paths = [*dict.fromkeys([*self._paths, *paths])]
            self._preload()

    async def aclose(self) -> None:
        self._drop_zygote()
        if self._process is not None:
            await asyncio.to_thread(_reap, self._process)

    async def _fork(self, descriptors: list[int], rules: Rules) -> _ForkedChild:
        if self._control is None:
            await self.start()
            self._preload()
        zygote = self._control
        self._last_fork += 1
        pending: asyncio.Future[_ForkedChild] = asyncio.Future()
        self._pending_forks[self._last_fork] = pending
        try:
            self._send(["fork", self._last_fork, rules], descriptors)
            async with asyncio.timeout(_FORK_TIMEOUT_S):
                return await pending
        except _GONE:
            pending.cancel()  # nobody waits for it
            if zygote is self._control:  # else somebody has begun the next one already
                self._drop_zygote()
            raise

    def _preload(self) -> None:
        safe = [name for name in self._modules if name not in self._unsafe]
        if safe and self._control is not None:
            with contextlib.suppress(OSError):  # it has died; its successor is told
                self._send(["preload", self._paths, safe])

    def _send(self, message: list[Any], descriptors: list[int] | None = None) -> None:
        if self._control is None:
            raise Fault("the zygote is gone")
        self._control.setblocking(True)  # a few bytes: never waits in practice, and never half a message
        try:
            control.send(self._control, message, descriptors or [])
        finally:
            self._control.setblocking(False)

    def _on_message(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        try:
            message, _ = control.receive(sock)
        except OSError:
            message = None
        if message is None:
            self._drop_zygote()
            return
        sock.setblocking(False)
        if message[0] == "forked":
            child = self._children[message[2]] = _ForkedChild(int(message[2]))
            if not (pending := self._pending_forks.pop(message[1])).done():
                pending.set_result(child)
        elif message[0] == "exited":
            if (gone := self._children.pop(message[1], None)) is not None:
                gone.exit.set_result(message[2])
        elif message[0] == "unsafe":
            self._unsafe.add(message[1])

    def _drop_zygote(self) -> None:
        """The zygote is gone, or as good as gone, and its isolates with it."""
        sock, self._control = self._control, None
        if sock is None or self._process is None:
            return
        self._process.kill()
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()
        for pending in self._pending_forks.values():
            if not pending.done():
                pending.set_exception(Fault("the zygote ended before it forked"))
        self._pending_forks.clear()
        for child in self._children.values():
            child.kill()
            child.bereft = True
            child.exit.set_result(-signal.SIGKILL)
        self._children.clear()


def _reap(process: subprocess.Popen[bytes]) -> None:
    """It ends when its socket does, unless it is in the middle of an import."""
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
