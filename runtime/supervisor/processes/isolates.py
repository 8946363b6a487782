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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from runtime.supervisor.processes.pipes import listen

Tell = Callable[[str, str], None]  # (one of STREAMS, line)
STREAMS = ("stdout", "stderr", "stack")  # stack: what runtime.isolate.stack tells
Rules = dict[str, Any] | None  # runtime.isolate.sandbox.Rules, as they travel; None: no sandbox
GRACE = 2.0  # seconds between asking an isolate to end and killing it
_LOOK = 0.1  # seconds between two looks at a process that is not a fork of the zygote
_PRIVATE = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|_KEY$|_HEADERS$")  # the operator's; a worker's are in its env


class Child(Protocol):
    """A begun isolate process."""

    pid: int | None

    async def ended(self) -> str:
        """Once it has: how, in words."""

    def kill(self) -> None: ...


class Spawner(Protocol):
    def begin(self) -> None:
        """What can be begun before there is an event loop."""

    async def start(self) -> None: ...

    async def spawn(self, sock: socket.socket, tell: Tell, rules: Rules = None) -> Child: ...

    def preload(self, modules: list[str], paths: Sequence[str] = ()) -> None:
        """Modules that the next isolates will import; ``paths``: where to look for them as well."""

    async def aclose(self) -> None: ...


def make_spawner(*, clean: bool = False) -> Spawner:
    """PILOT_SPAWN=process chooses the way that works without fork. ``clean``: nothing of our environment goes on."""
    forkless = sys.platform == "darwin" or os.environ.get("PILOT_SPAWN") == "process"
    environment = _clean() if clean else _environment()
    if forkless:
        return ProcessSpawner(environment)
    from runtime.supervisor.processes.forks import ForkSpawner

    return ForkSpawner(environment)


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


def start_process(
    module: str, environment: dict[str, str], sock: socket.socket, told: Sequence[int] = (), rules: Rules = None
) -> subprocess.Popen[bytes]:
    """A session of its own: a Ctrl-C in the terminal is for the supervisor alone. ``told``: as ``heard`` has them."""
    out, err, *stacks = told or (None, None)
    passed = [sock.fileno(), *filter(None, stacks)]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *map(str, passed), *([json.dumps(rules)] if rules else [])],
        pass_fds=passed,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
        env=environment,
    )


async def heard(tell: Tell) -> list[int]:
    """A descriptor for each of ``STREAMS``, for a child to write to. The caller closes them after the fork."""
    return [await listen(partial(tell, stream)) for stream in STREAMS]


def kill_family(pid: int) -> None:
    """An isolate leads a process group: what it started ends with it."""
    for kill in (os.killpg, os.kill):  # the group may not be there yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


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

    def begin(self) -> None:
        """Nothing to keep warm."""

    async def start(self) -> None:
        """Nothing to keep warm."""

    async def spawn(self, sock: socket.socket, tell: Tell, rules: Rules = None) -> Child:
        told = await heard(tell)
        process = start_process("runtime.isolate.main", self._environment, sock, told, rules)
        for descriptor in told:
            os.close(descriptor)
        sock.close()
        return _Started(process)

    def preload(self, modules: list[str], paths: Sequence[str] = ()) -> None:
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

    def begin(self) -> None:
        """Nothing to keep warm."""

    async def start(self) -> None:
        """Nothing to keep warm."""

    async def spawn(self, sock: socket.socket, tell: Tell, rules: Rules = None) -> Child:
        from runtime.isolate import loader, main

        loader.unload(self._root)
        return _Inline(asyncio.create_task(main.serve(sock)))

    def preload(self, modules: list[str], paths: Sequence[str] = ()) -> None:
        """Nothing to keep warm."""

    async def aclose(self) -> None:
        """Nothing to end."""
