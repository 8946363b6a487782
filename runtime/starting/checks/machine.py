"""Python, the system, processors and memory."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from runtime.starting.checks.finding import Finding

LEAST_MEMORY = 1 << 30  # bytes: a server, a worker and the embedded model take half of it
_WHEELS = "Use a distribution with glibc: Debian, Ubuntu, Fedora; python:3.14-slim is a container of that kind"


def machine() -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()}, {sys.executable}")
    yield _system()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("processors", "ok", f"{cores}")
    yield _memory()


def _system() -> Finding:
    name = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform == "darwin":
        return Finding("system", "ok", name)
    if sys.platform != "linux":
        return Finding("system", "missing", f"{name}: Pilotlight runs on Linux and macOS", "On Windows: WSL 2", True)
    libc = _libc()
    if libc.startswith("glibc"):
        return Finding("system", "ok", f"{name}, {libc}")
    return Finding("system", "missing", f"{name}, {libc}: llama.cpp's package has no wheel for it", _WHEELS, True)


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or "no glibc"
    except (ValueError, OSError):
        return "no glibc"


def _memory() -> Finding:
    found = {line.split(":")[0]: line.split()[1] for line in _lines("/proc/meminfo") if len(line.split()) > 1}
    if "MemTotal" not in found:
        return Finding("memory", "note", "how much there is cannot be read here")
    total, free = (int(found.get(name, "0")) << 10 for name in ("MemTotal", "MemAvailable"))
    limits = [int(line) for line in _lines("/sys/fs/cgroup/memory.max") if line.isdecimal()]
    total = min([total, *limits])
    what = f"{min(free, total) / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    if min(free, total) < LEAST_MEMORY:
        return Finding("memory", "missing", what, "Close something: a gigabyte is wanted for the embedded model")
    return Finding("memory", "ok", what)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8").splitlines()
    except OSError:
        return []


__all__ = ["machine"]
