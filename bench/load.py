"""The load generator (``load.c``), run beside a server whose CPU time is read at both ends of the measured time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from select import select
from typing import Any

from bench import machine

CACHE = Path.home() / ".cache" / "pilotlight-bench"
HELD_S = 4  # as in load.c
SOCKETS = Path(__file__).with_name("socket_load.py")
_SOURCE = Path(__file__).with_name("load.c")
BINARY = CACHE / f"load-{sha256(_SOURCE.read_bytes()).hexdigest()[:12]}"  # of this very source


class LoadError(Exception):
    """The server did not do what was asked of it: the figure would mean nothing."""


def compiled() -> Path:
    """``load.c``, compiled once."""
    if not BINARY.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        part = BINARY.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-O2", "-o", str(part), str(_SOURCE), "-lm"], check=True)
        part.rename(BINARY)
    return BINARY


def hello(
    port: int, connections: int, seconds: float, cpu: Callable[[], float], path: str = "/", body: str | None = None
) -> dict[str, Any]:
    """``body``: JSON that is posted, or ``@FILE`` of it."""
    result = _run(cpu, "hello", port, path, connections, 0.5, seconds, *([body] if body else []))
    if not result["requests"]:
        raise LoadError(f"no answer on {connections} connections in {seconds:g} s")
    return result


def upload(
    port: int, connections: int, seconds: float, cpu: Callable[[], float], path: str, size: int
) -> dict[str, Any]:
    """Bodies of so many bytes, one after the other; ``sent`` of the result is what has left in the time measured."""
    result = _run(cpu, "upload", port, path, connections, 0.5, seconds, size)
    if result["broken"] or not result["sent"]:
        raise LoadError(f"{result['broken']} uploads on {connections} connections broke off in {seconds:g} s")
    return result


def stream(
    port: int,
    streams: int,
    seconds: float,
    cpu: Callable[[], float],
    path: str,
    body: str | None,
    warm: float,
    quiet: bool = False,
) -> dict[str, Any]:
    """``streams`` begun together and read on and on; ``quiet``: each says one thing and no more. Raises LoadError when
    one of them ended."""
    result = _run(cpu, "stream", port, path, streams, warm, seconds, *([body] if body else []))
    if result["broken"] or result["open"] < streams:
        raise LoadError(f"{streams - result['open']} of {streams} streams ended early")
    if not result["events"] and not quiet:
        raise LoadError(f"no event on {streams} streams in {seconds:g} s")
    return result


def first(
    port: int, streams: int, repeats: int, cpu: Callable[[], float], path: str, body: str | None = None
) -> dict[str, Any]:
    """Time to the first event, ``repeats`` times."""
    return _run(cpu, "first", port, path, streams, repeats, *([body] if body else []))


class Churn:
    """``load soak`` under way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def wait_held(self, seconds: float) -> bool:
        """Whether clients have stopped leaving; waits that long for it."""
        assert self._process.stdout is not None
        if not select([self._process.stdout], [], [], seconds)[0]:
            return False
        return self._line() == "held"

    def result(self) -> dict[str, Any]:
        numbers: dict[str, Any] = json.loads(self._line())
        return numbers

    def _line(self) -> str:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if line := self._process.stdout.readline():
            return line.strip()
        raise LoadError(self._process.stderr.read()[:500])


@contextmanager
def soak(port: int, streams: int, mean: float, seconds: float, path: str, body: str | None) -> Iterator[Churn]:
    """Clients that leave after ``mean`` seconds on average and are replaced; at the end all stay for HELD_S."""
    command = ["soak", port, path, streams, mean, seconds, *([body] if body else [])]
    process = subprocess.Popen(
        [str(compiled()), *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1, text=True,
        preexec_fn=machine.prepare(machine.LOAD))  # fmt: skip
    try:
        churn = Churn(process)
        if churn._line() != "begin":
            raise LoadError("the load did not begin")
        yield churn
    finally:
        process.kill()
        process.wait()


@contextmanager
def other_side(kind: str, interval_ms: float = 0) -> Iterator[str]:
    """Of a proxy, and its address: a ``source`` of endless event streams, or a ``sink`` of bodies."""
    process = subprocess.Popen(
        [str(compiled()), kind, "0", str(interval_ms)], stdout=subprocess.PIPE, text=True,
        preexec_fn=machine.prepare(machine.LOAD))  # fmt: skip
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.kill()
        process.wait()


def sockets(cpu: Callable[[], float], *arguments: object) -> dict[str, Any]:
    """``socket_load.py``, and what the server's CPU time was meanwhile."""
    return _run(cpu, *arguments, program=(sys.executable, str(SOCKETS)))


def _run(cpu: Callable[[], float], *arguments: object, program: tuple[str, ...] = ()) -> dict[str, Any]:
    command = [*(program or (str(compiled()),)), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=machine.prepare(machine.LOAD)
    )
    assert process.stdout is not None
    assert process.stderr is not None
    if process.stdout.readline().strip() != "begin":
        raise LoadError(f"{' '.join(command)[:200]}: {process.stderr.read()[:500]}")
    before = cpu()
    result: dict[str, Any] = json.loads(process.stdout.readline())
    result["server_s"] = cpu() - before
    stderr = process.stderr.read()
    process.wait()
    if result["refused"]:
        raise LoadError(stderr[:500])
    result["load_busy"] = result["cpu_us"] / result["elapsed_us"]
    return result
