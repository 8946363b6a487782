"""The machine and what processes cost on it."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil

CPUS = sorted(os.sched_getaffinity(0))
_SETTLE_INTERVAL_S, _BUSY_CPU = 0.3, 0.15  # seconds; share of a CPU
SERVER, LOAD = CPUS[0], CPUS[-1]  # one CPU each; the same one where there is only one


def ends_tidily() -> None:
    """SIGTERM unwinds like Ctrl-C does, so that what was started is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def pin(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})


def pin_family(pid: int, cpu: int, without: Iterable[int] = ()) -> None:
    """Every thread of the family, from now on."""
    for process in family(pid, without):
        with suppress(OSError):  # it, or one of its threads, has just gone
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(thread), {cpu})


def prepare(cpu: int | None) -> Callable[[], None]:
    """For a server's first moment: as many open files as allowed, one CPU, and an end with this process's, however
    that comes."""
    system = ctypes.CDLL(None)

    def at_start() -> None:
        system.prctl(_DEATH_SIGNAL, signal.SIGTERM)
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        if cpu is not None:
            pin(cpu)

    return at_start


def family(pid: int, without: Iterable[int] = ()) -> list[psutil.Process]:
    """The process and all below it; a process in ``without`` is left out, and all below that."""
    if not psutil.pid_exists(pid):
        return []
    below: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            below.setdefault(process.ppid(), []).append(process)
    left_out, processes, pending = set(without), list[psutil.Process](), [psutil.Process(pid)]
    while pending:
        process = pending.pop(0)
        if process.pid not in left_out:
            processes.append(process)
            pending += below.get(process.pid, [])
    return processes


def cpu_seconds(pid: int, without: Iterable[int] = ()) -> float:
    """User and system time of the family so far."""
    total = 0.0
    for process in family(pid, without):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def pss(pid: int, without: Iterable[int] = (), kind: str = "Pss") -> float:
    """The family's share of physical memory, in MB: what it shares with others is divided among them. ``Pss_Anon`` is
    what its processes have allocated themselves, without files, of which a share grows when others give theirs up."""
    total = 0
    for process in family(pid, without):
        with suppress(OSError):  # it has just gone
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            total += next((int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")), 0)
    return total / 1000


def wait_until_idle(within: float = 60) -> bool:
    """Wait until what this process has started rests, or one server's unfinished work would be measured as another's.
    False: it does not."""
    end, before = time.monotonic() + within, cpu_seconds(os.getpid())
    while time.monotonic() < end:
        time.sleep(_SETTLE_INTERVAL_S)
        now = cpu_seconds(os.getpid())
        if now - before < _BUSY_CPU * _SETTLE_INTERVAL_S:
            return True
        before = now
    return False


def is_ahead() -> bool:
    """Whether what is started here runs ahead of whatever else does: ``chrt -r 5 python -m bench``."""
    return hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) in (os.SCHED_RR, os.SCHED_FIFO)


def describe() -> str:
    """One line for the results."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"
