"""Isolate processes: how they begin, and how they end.

Theory of operation
-------------------
A ``Spawner`` turns one end of a socketpair into a running isolate. ``ForkSpawner`` asks the zygote for a fork (about
10 ms); ``ProcessSpawner`` starts an interpreter, where forking is not safe (macOS); ``InlineSpawner`` runs the worker
in this very process, for ``breakpoint()``. An isolate ends when its channel closes; one that does not is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from runtime.errors import Fault
from runtime.isolate import control
from runtime.supervisor.pipes import listen

Tell = Callable[[str, str], None]   # (stream, line)
Rules = dict[str, Any] | None       # runtime.isolate.sandbox.Rules, as they travel; None: no sandbox
GRACE = 2.0                         # seconds between asking an isolate to end and killing it
_LOOK = 0.1                         # seconds between two looks at a process that is not a fork of the zygote
_BIRTH = 20.0                       # seconds a fork may take: the zygote may be importing a package
_PRIVATE = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$")  # the operator's; a worker's own are in its env


class Child(Protocol):
    """A begun isolate process."""

    pid: int | None

    async def ended(self) -> str:
        """Once it has: how, in words."""

    def kill(self) -> None: ...


class Spawner(Protocol):
    async def start(self) -> None: ...

    async def spawn(self, sock: socket.socket, tell: Tell, rules: Rules = None) -> Child: ...

    def preload(self, paths: list[str], modules: list[str]) -> None:
        """Third-party packages that the next isolates will import."""

    async def aclose(self) -> None: ...


def make_spawner(root: Path, *, inline: bool = False, clean: bool = False) -> Spawner:
    """PILOT_SPAWN=process chooses the way that works without fork. ``clean``: nothing of our environment goes on."""
    if inline:
        return InlineSpawner(root)
    forkless = sys.platform == "darwin" or os.environ.get("PILOT_SPAWN") == "process"
    environment = _clean() if clean else _environment()
    return ProcessSpawner(environment) if forkless else ForkSpawner(environment)


def in_words(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not _PRIVATE.search(name.upper())}


def _clean() -> dict[str, str]:
    """Where Python is found, and in which language; no more."""
    kept = re.compile(r"PATH|LANG|LC_\w+|TZ|PYTHON(HASHSEED|UTF8|WARNINGS)")
    return {name: value for name, value in os.environ.items() if kept.fullmatch(name)}


def _start(
    module: str, environment: dict[str, str], sock: socket.socket, out: int | None = None, err: int | None = None,
    rules: Rules = None,
) -> subprocess.Popen[bytes]:
    """A session of its own: a Ctrl-C in the terminal is for the supervisor alone."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, str(sock.fileno()), *([json.dumps(rules)] if rules else [])],
        pass_fds=[sock.fileno()], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        start_new_session=True, env=environment,
    )  # fmt: skip


def kill_family(pid: int) -> None:
    """An isolate leads a process group: what it started ends with it."""
    for kill in (os.killpg, os.kill):  # the group may not be there yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


class _Forked:
    pid: int | None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ended(self) -> str:
        return in_words(await asyncio.shield(self.exit))

    def kill(self) -> None:
        if not self.exit.done() and self.pid is not None:
            kill_family(self.pid)


class ForkSpawner:
    """Owns the zygote; starts a new one when it is gone or can no longer be forked."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._births: dict[int, asyncio.Future[_Forked]] = {}
        self._children: dict[int, _Forked] = {}
        self._last = 0
        self._wanted: tuple[list[str], list[str]] = ([], [])
        self._unsafe: set[str] = set()

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        self._process = _start("runtime.isolate.zygote", self._environment, theirs)
        theirs.close()
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._hear, ours)

    async def spawn(self, sock: socket.socket, tell: Tell, rules: Rules = None) -> Child:
        out, err = await listen(partial(tell, "stdout")), await listen(partial(tell, "stderr"))
        descriptors = [sock.fileno(), out, err]
        try:
            try:
                return await self._fork(descriptors, rules)
            except (OSError, Fault):
                self._lose()  # it has just died: a new one does as well
                return await self._fork(descriptors, rules)
        finally:
            for descriptor in (out, err):
                os.close(descriptor)
            sock.close()

    def preload(self, paths: list[str], modules: list[str]) -> None:
        if (paths, modules) != self._wanted:
            self._wanted = (paths, modules)
            self._preload()

    async def aclose(self) -> None:
        self._lose()
        if self._process is not None:
            await asyncio.to_thread(_reap, self._process)

    async def _fork(self, descriptors: list[int], rules: Rules) -> _Forked:
        if self._control is None:
            await self.start()
            self._preload()
        self._last += 1
        birth: asyncio.Future[_Forked] = asyncio.Future()
        self._births[self._last] = birth
        self._send(["fork", self._last, rules], descriptors)
        async with asyncio.timeout(_BIRTH):
            return await birth

    def _preload(self) -> None:
        paths, modules = self._wanted
        safe = [name for name in modules if name not in self._unsafe]
        if safe and self._control is not None:
            with contextlib.suppress(OSError):  # it has died; its successor is told
                self._send(["preload", paths, safe])

    def _send(self, message: list[Any], descriptors: list[int] | None = None) -> None:
        if self._control is None:
            raise Fault("the zygote is gone")
        self._control.setblocking(True)  # a few bytes: never waits in practice, and never half a message
        try:
            control.send(self._control, message, descriptors or [])
        finally:
            self._control.setblocking(False)

    def _hear(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        try:
            message, _ = control.receive(sock)
        except OSError:
            message = None
        if message is None:
            self._lose()
            return
        sock.setblocking(False)
        if message[0] == "forked":
            child = self._children[message[2]] = _Forked(int(message[2]))
            if not (birth := self._births.pop(message[1])).done():
                birth.set_result(child)
        elif message[0] == "exited":
            if (gone := self._children.pop(message[1], None)) is not None:
                gone.exit.set_result(message[2])
        elif message[0] == "unsafe":
            self._unsafe.add(message[1])

    def _lose(self) -> None:
        """The zygote is gone, or as good as gone, and its isolates with it."""
        sock, self._control = self._control, None
        if sock is None or self._process is None:
            return
        self._process.kill()
        asyncio.get_running_loop().remove_reader(sock)
        sock.close()
        for birth in self._births.values():
            if not birth.done():
                birth.set_exception(Fault("the zygote ended before it forked"))
        self._births.clear()
        for child in self._children.values():
            child.kill()
            child.exit.set_result(-signal.SIGKILL)
        self._children.clear()


def _reap(process: subprocess.Popen[bytes]) -> None:
    """It ends when its socket does, unless it is in the middle of an import."""
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Started:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid: int | None = process.pid

    async def ended(self) -> str:
        while (status := self._process.poll()) is None:
            await asyncio.sleep(_LOOK)  # not in a thread: those are few, and this may take days
        return in_words(status)

    def kill(self) -> None:
        if self._process.poll() is None:
            kill_family(self._process.pid)


class ProcessSpawner:
    """A fresh interpreter per isolate."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    async def start(self) -> None:
        """Nothing to keep warm."""

    async def spawn(self, sock: socket.socket, tell: Tell, rules: Rules = None) -> Child:
        out, err = await listen(partial(tell, "stdout")), await listen(partial(tell, "stderr"))
        process = _start("runtime.isolate.main", self._environment, sock, out, err, rules)
        for descriptor in (out, err):
            os.close(descriptor)
        sock.close()
        return _Started(process)

    def preload(self, paths: list[str], modules: list[str]) -> None:
        """Nothing to keep warm."""

    async def aclose(self) -> None:
        """Nothing to end: each isolate ends with its channel."""


class _Inline:
    pid: int | None = None

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    async def ended(self) -> str:
        await asyncio.wait([self._task])
        return "closed"

    def kill(self) -> None:
        self._task.cancel()


class InlineSpawner:
    """The worker runs here, in the foreground: ``breakpoint()`` and debuggers work."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def start(self) -> None:
        """Nothing to keep warm."""

    async def spawn(self, sock: socket.socket, tell: Tell, rules: Rules = None) -> Child:
        from runtime.isolate import loader, main

        loader.unload(self._root)
        return _Inline(asyncio.create_task(main.serve(sock)))

    def preload(self, paths: list[str], modules: list[str]) -> None:
        """Nothing to keep warm."""

    async def aclose(self) -> None:
        """Nothing to end."""
