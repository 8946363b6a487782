"""Isolate processes: how they begin, and how they end.

Theory of operation
-------------------
A ``Spawner`` turns one end of a socketpair into a running isolate. ``ForkSpawner`` asks the zygote for a fork (about
10 ms); ``ProcessSpawner`` starts an interpreter, where forking is not safe (macOS); ``InlineSpawner`` runs the worker
in this very process, for ``breakpoint()``. An isolate ends when its channel closes; one that does not is killed.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.processes import kill_group
from runtime.supervisor.processes.forking.forks import ForkSpawner
from runtime.supervisor.processes.spawning import (
    NO_SHELF,
    Child,
    OnLine,
    Rules,
    Shelf,
    Spawner,
    in_words,
    output_pipes,
    start_process,
)

_POLL_INTERVAL_S = 0.1  # seconds between two looks at a process that is not a fork of the zygote
_PRIVATE = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$|_HEADERS$")  # the operator's; a worker's are in its env


def make_spawner(*, clean: bool = False) -> Spawner:
    """PILOT_SPAWN=process chooses the way that works without fork. ``clean``: nothing of our environment goes on."""
    environment = _clean_environment() if clean else _environment()
    return ForkSpawner(environment) if is_forking() else ProcessSpawner(environment)


def is_forking() -> bool:
    """Whether isolates are forks of a zygote."""
    return sys.platform != "darwin" and os.environ.get("PILOT_SPAWN") != "process"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not _PRIVATE.search(name.upper())}


def _clean_environment() -> dict[str, str]:
    """Where Python is found, and in which language; no more."""
    allowed = re.compile(r"PATH|LANG|LC_\w+|TZ|PYTHON(HASHSEED|UTF8|WARNINGS)")
    return {name: value for name, value in os.environ.items() if allowed.fullmatch(name)}


class _PopenChild:
    bereft = False

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid: int | None = process.pid

    async def ended(self) -> str:
        while (status := self._process.poll()) is None:
            await asyncio.sleep(_POLL_INTERVAL_S)  # not in a thread: those are few, and this may take days
        return in_words(status)

    def kill(self) -> None:
        if self._process.poll() is None:
            kill_group(self._process.pid)


class ProcessSpawner:
    """A fresh interpreter per isolate."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def begin(self) -> None:
        """Nothing to keep warm."""

    async def start(self) -> None:
        """Nothing to keep warm."""

    async def spawn(self, sock: socket.socket, on_line: OnLine, rules: Rules = None, shelf: Shelf = NO_SHELF) -> Child:
        pipes = await output_pipes(on_line)
        process = start_process("runtime.isolate.main", self._environment, sock, pipes, rules)
        for descriptor in pipes:
            os.close(descriptor)
        sock.close()
        return _PopenChild(process)

    def preload(self, modules: Sequence[str], shelf: Shelf = NO_SHELF, *, safe: bool = False) -> None:
        """Nothing to keep warm."""

    async def aclose(self) -> None:
        """Nothing to end: each isolate ends with its channel."""


class _InlineChild:
    pid: int | None = None
    bereft = False

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

    def begin(self) -> None:
        """Nothing to keep warm."""

    async def start(self) -> None:
        """Nothing to keep warm."""

    async def spawn(self, sock: socket.socket, on_line: OnLine, rules: Rules = None, shelf: Shelf = NO_SHELF) -> Child:
        from runtime.isolate import main
        from runtime.isolate.script import loader

        loader.unload(self._root)
        return _InlineChild(asyncio.create_task(main.serve(sock)))

    def preload(self, modules: Sequence[str], shelf: Shelf = NO_SHELF, *, safe: bool = False) -> None:
        """Nothing to keep warm."""

    async def aclose(self) -> None:
        """Nothing to end."""
