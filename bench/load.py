"""The load generator (``load.c``), run beside a server whose CPU time is read at both ends of the measured time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import machine

CACHE = Path.home() / ".cache" / "pilotlight-bench"
_SOURCE = Path(__file__).with_name("load.c")


class LoadError(Exception):
    """The server did not do what was asked of it: the figure would mean nothing."""


def program() -> Path:
    """``load.c``, compiled; again when it has changed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    binary = CACHE / "load"
    if not binary.exists() or binary.stat().st_mtime < _SOURCE.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", str(binary), str(_SOURCE)], check=True)
    return binary


def hello(port: int, connections: int, seconds: float, cpu: Callable[[], float], path: str = "/") -> dict[str, Any]:
    return _run(cpu, "hello", port, path, connections, 0.5, seconds)


def stream(
    port: int, streams: int, seconds: float, cpu: Callable[[], float], path: str, body: str | None, warm: float
) -> dict[str, Any]:
    """``streams`` begun together and read on and on. Raises LoadError when one of them ended."""
    found = _run(cpu, "stream", port, path, streams, warm, seconds, *([body] if body else []))
    if found["broken"] or found["open"] < streams:
        raise LoadError(f"{streams - found['open']} of {streams} streams ended early")
    if not found["events"]:
        raise LoadError(f"no event on {streams} streams in {seconds:g} s")
    return found


def first(
    port: int, streams: int, repeats: int, cpu: Callable[[], float], path: str, body: str | None = None
) -> dict[str, Any]:
    """Time to the first event, ``repeats`` times."""
    return _run(cpu, "first", port, path, streams, repeats, *([body] if body else []))


def source(interval_ms: float) -> tuple[subprocess.Popen[str], int]:
    """A server of endless event streams, and its port."""
    process = subprocess.Popen(
        [str(program()), "source", "0", str(interval_ms)], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: machine.pin(machine.LOAD))  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def _run(cpu: Callable[[], float], *arguments: object) -> dict[str, Any]:
    command = [str(program()), *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: machine.pin(machine.LOAD))
    assert process.stdout is not None
    assert process.stderr is not None
    if process.stdout.readline().strip() != "begin":
        raise LoadError(f"{' '.join(command)[:200]}: {process.stderr.read()[:500]}")
    before = cpu()
    found: dict[str, Any] = json.loads(process.stdout.readline())
    found["server_s"] = cpu() - before
    complaint = process.stderr.read()
    process.wait()
    if found["refused"]:
        raise LoadError(complaint[:500])
    found["load_busy"] = found["cpu_us"] / found["elapsed_us"]
    return found
