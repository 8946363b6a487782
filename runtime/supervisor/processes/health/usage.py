"""What one isolate uses of the machine, as the kernel counts it (man 5 proc), and what of it is beyond its limits.

A shut-in isolate has no children, so its process is all of it. Memory is what it holds alone: a page that it shares
with the zygote counts in parts. Looked at once a second: what is taken and given back in between is not seen, nor are
shared memory and removed files that it no longer maps or holds open whole; a cgroup (``cgroups``) sees the memory.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from runtime.supervisor.limits import Limits

_STATUS = re.compile(rb"^(RssAnon|RssShmem|VmSwap|VmPTE|Threads):\s*(\d+)", re.MULTILINE)  # /proc/PID/status, in kB
_DIVIDED = re.compile(rb"^(Pss_Anon|Pss_Shmem|SwapPss):\s*(\d+)", re.MULTILINE)  # smaps_rollup, in kB (Linux 5.10)
_DIVIDED_ROWS = 3  # an older kernel has fewer, and what may be shared counts whole
_EXACT_FROM = 0.5  # of a limit: below it, what may be shared is not divided up, which costs a walk over all pages
_TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_CPU_FREE_S = 0.005  # seconds from one look to the next: its heartbeats, and whatever is that little
_CPU_GRACE_S = 1.0  # seconds beyond the limit in which the process itself ends what goes on
_MAX_TEMP_FILES = 10_000  # in the temporary folder: more are looked for no further


class Usage(msgspec.Struct, frozen=True):
    """Of one process; bytes and seconds. All 0: it is gone."""

    memory: int = 0
    threads: int = 0
    cpu_s: float = 0.0  # of all its threads


class CpuAccount:
    """The CPU time of one process against that of its requests: each brings ``limit`` seconds, and what is saved is at
    most that of those in hand, or of one. It needs no word of the process's own, which also counts (``isolate.meter``),
    and is the first to act."""

    def __init__(self, limit: float, cpu_s: float, begun: int) -> None:
        self._limit, self._left, self._cpu_s, self._begun = limit, limit, cpu_s, begun

    def is_overdrawn(self, cpu_s: float, begun: int, in_hand: int) -> bool:
        """By now; ``cpu_s`` and ``begun`` are sums from the process's beginning."""
        used = max(0.0, cpu_s - self._cpu_s - _CPU_FREE_S)
        left = self._left + (begun - self._begun) * self._limit - used
        self._cpu_s, self._begun = cpu_s, begun
        self._left = min(left, max(1, in_hand) * self._limit)
        return left < -_CPU_GRACE_S


def usage_of(pid: int | None, limits: Limits) -> Usage:
    """Now. About 30 µs; more for a process that is near ``memory_mb``, by its size."""
    with suppress(OSError, ValueError, IndexError):
        rows = _rows(f"/proc/{pid}/status", _STATUS)
        threads, tables = rows.pop(b"Threads", 0), rows.get(b"VmPTE", 0)
        memory = sum(rows.values())
        if memory << 10 > _EXACT_FROM * (limits.memory_mb << 20):
            with suppress(OSError):
                divided = _rows(f"/proc/{pid}/smaps_rollup", _DIVIDED)
                memory = tables + sum(divided.values()) if len(divided) == _DIVIDED_ROWS else memory
        return Usage(memory << 10, threads, _cpu_s(pid))
    return Usage()


def temp_bytes(folder: str, pid: int | None) -> int:
    """What the isolate keeps on disk: in its temporary folder, and in removed files that it holds open."""
    seen: dict[tuple[int, int], int] = {}
    for found in (*_below(folder), *_removed(pid)):
        seen[found.st_dev, found.st_ino] = found.st_blocks * 512
        if len(seen) > _MAX_TEMP_FILES:
            return 1 << 62
    return sum(seen.values())


def excess(usage: Usage, temp: int, limits: Limits) -> str:
    """What is beyond a limit, in words; empty: nothing is."""
    if usage.memory > limits.memory_mb << 20:
        return f"uses {usage.memory >> 20} MB of memory (memory_mb: {limits.memory_mb})"
    if usage.threads > limits.threads:
        return f"has {usage.threads} threads (threads: {limits.threads})"
    if temp > limits.temp_mb << 20:
        what = f"{temp >> 20} MB" if temp < 1 << 62 else f"more than {_MAX_TEMP_FILES} files"
        return f"keeps {what} in its temporary folder (temp_mb: {limits.temp_mb})"
    return ""


def _rows(path: str, pattern: re.Pattern[bytes]) -> dict[bytes, int]:
    with open(path, "rb", 0) as file:
        return {name: int(number) for name, number in pattern.findall(file.read(65_536))}


def _cpu_s(pid: int | None) -> float:
    with open(f"/proc/{pid}/stat", "rb", 0) as file:
        fields = file.read(4096).rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _below(folder: str) -> Iterator[os.stat_result]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                yield entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    yield from _below(entry.path)


def _removed(pid: int | None) -> Iterator[os.stat_result]:
    with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            with suppress(OSError):
                found = os.stat(descriptor.path)
                if stat.S_ISREG(found.st_mode) and not found.st_nlink:
                    yield found


__all__ = ["CpuAccount", "Usage", "excess", "temp_bytes", "usage_of"]
