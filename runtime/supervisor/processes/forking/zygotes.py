"""A zygote as the supervisor holds it: its process, and what has been forked from it.

One has the packages of one ``Shelf`` in memory: two workers may depend on two versions of the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from runtime.errors import Fault
from runtime.isolate import control
from runtime.processes import kill_group
from runtime.supervisor.processes.spawning import NO_SHELF, STOP_GRACE_S, in_words, start_process

_FORK_TIMEOUT_S = 20.0  # seconds a fork may take: the zygote may be importing a package


class ForkedChild:
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


class Zygote:
    """Its process begins at once, for it has much to import; it ends when the socket closes. ``modules``: what it has
    been asked to import, in that order, and whether that is known to start no thread; ``on_idle`` is told when the last
    of its children has ended."""

    def __init__(self, environment: dict[str, str], on_idle: Callable[[Zygote], None]) -> None:
        self._control, theirs = socket.socketpair()
        self._process = start_process("runtime.isolate.zygote", environment, theirs)
        theirs.close()
        self._control.setblocking(False)
        self._on_idle = on_idle
        self.shelf, self.modules, self.unsafe = NO_SHELF, dict[str, bool](), set[str]()
        self.alive, self.children = True, dict[int, ForkedChild]()
        self._pending: dict[int, asyncio.Future[ForkedChild]] = {}
        self._last_fork = 0

    def follow(self) -> None:
        """From within the event loop, once."""
        asyncio.get_running_loop().add_reader(self._control, self._on_message)

    async def fork(self, descriptors: list[int], rules: dict[str, Any] | None) -> ForkedChild:
        """Raises OSError, Fault: it is gone, or does not answer, and then it is dropped."""
        self._last_fork += 1
        pending = self._pending[self._last_fork] = asyncio.get_running_loop().create_future()
        try:
            self._send(["fork", self._last_fork, rules], descriptors)
            async with asyncio.timeout(_FORK_TIMEOUT_S):
                child: ForkedChild = await pending
                return child
        except (OSError, Fault):
            pending.cancel()  # nobody waits for it
            self.drop()
            raise

    def preload(self, modules: Mapping[str, bool]) -> None:
        """Modules that are new to it: name → whether it is known to start no thread."""
        new = {name: safe for name, safe in modules.items() if name not in self.modules and name not in self.unsafe}
        self.modules.update(new)
        if new and self.alive:
            with contextlib.suppress(OSError):  # it has died; its successor is told
                self._send(["preload", list(self.shelf.paths), self.shelf.alone, list(new.items())])

    def drop(self) -> None:
        """It is gone, or as good as gone, and its isolates with it."""
        if not self.alive:
            return
        self.alive = False
        self._process.kill()
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        for pending in self._pending.values():
            if not pending.done():
                pending.set_exception(Fault("the zygote ended before it forked"))
        for child in self.children.values():
            child.kill()
            child.bereft = True
            child.exit.set_result(-signal.SIGKILL)
        self._pending.clear()
        self.children.clear()

    async def aclose(self) -> None:
        self.drop()
        await asyncio.to_thread(_reap, self._process)

    def _send(self, message: list[Any], descriptors: list[int] | None = None) -> None:
        if not self.alive:
            raise Fault("the zygote is gone")
        self._control.setblocking(True)  # a few bytes: never waits in practice, and never half a message
        try:
            control.send(self._control, message, descriptors or [])
        finally:
            self._control.setblocking(False)

    def _on_message(self) -> None:
        self._control.setblocking(True)
        try:
            message, _ = control.receive(self._control)
        except OSError:
            message = None
        if message is None:
            return self.drop()
        self._control.setblocking(False)
        if message[0] == "forked":
            child = self.children[message[2]] = ForkedChild(int(message[2]))
            if not (pending := self._pending.pop(message[1])).done():
                pending.set_result(child)
        elif message[0] == "exited":
            self._exited(*message[1:])
        elif message[0] == "unsafe":
            self.unsafe.add(message[1])

    def _exited(self, pid: int, status: int) -> None:
        if (gone := self.children.pop(pid, None)) is not None:
            gone.exit.set_result(status)
            if not self.children and not self._pending:
                self._on_idle(self)


def _reap(process: subprocess.Popen[bytes]) -> None:
    """It ends when its socket does, unless it is in the middle of an import."""
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


__all__ = ["ForkedChild", "Zygote"]
