"""What every way of starting an isolate has in common: its interface, its standard streams, its process."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from runtime.config import Config
from runtime.files import SYNCED, VENDORED
from runtime.supervisor.processes.pipes import listen

OnLine = Callable[[str, str], None]  # (one of STREAMS, line)
STREAMS = ("stdout", "stderr", "stack")  # stack: what runtime.isolate.stack tells
Rules = dict[str, Any] | None  # runtime.isolate.sandbox.Rules, as they travel; None: no sandbox
STOP_GRACE_S = 2.0  # seconds between asking an isolate to end and killing it


class Shelf(NamedTuple):
    """Where an isolate finds the packages of its worker. ``alone``: it has no others, as this interpreter's are hidden;
    ``stamp``: changes with what is in the ``paths``."""

    paths: tuple[str, ...] = ()
    alone: bool = False
    stamp: int = 0


NO_SHELF = Shelf()  # this interpreter's own


def shelf_of(config: Config) -> Shelf:
    """What the worker depends on, and what pywrangler has put beside its configuration."""
    packages, vendored = tuple(map(str, config.packages)), config.root / VENDORED
    if not vendored.is_dir():
        return Shelf(packages, bool(packages))
    stamps = [path.stat().st_mtime_ns for path in (vendored, vendored / SYNCED) if path.exists()]
    return Shelf((*packages, str(vendored)), bool(packages), max(stamps, default=0))


class Child(Protocol):
    """A begun isolate process."""

    pid: int | None
    bereft: bool  # it was ended because the process it was forked from is gone

    async def ended(self) -> str:
        """Once it has: how, in words."""

    def kill(self) -> None: ...


class Spawner(Protocol):
    """Starts isolates; ``on_line`` is told what each of them prints."""

    def begin(self) -> None:
        """What can be begun before there is an event loop."""

    async def start(self) -> None: ...

    async def spawn(self, sock: socket.socket, on_line: OnLine, rules: Rules = None, shelf: Shelf = NO_SHELF) -> Child:
        """``sock`` is closed here. Raises ``IsolateLost``: try again, with another socket."""

    def preload(self, modules: Sequence[str], shelf: Shelf = NO_SHELF, *, safe: bool = False) -> None:
        """Modules that the next isolates of this shelf will import, in this order. ``safe``: known to start no thread;
        of the others those at the top are tried."""

    async def aclose(self) -> None: ...


def in_words(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}"


def start_process(
    module: str, environment: dict[str, str], sock: socket.socket, pipes: Sequence[int] = (), rules: Rules = None
) -> subprocess.Popen[bytes]:
    """A session of its own: a Ctrl-C in the terminal is for the supervisor alone. ``pipes``: of ``output_pipes``."""
    out, err, *stacks = pipes or (None, None)
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


async def output_pipes(on_line: OnLine) -> list[int]:
    """A descriptor for each of ``STREAMS``, for a child to write to. The caller closes them after the fork."""
    return [await listen(partial(on_line, stream)) for stream in STREAMS]
