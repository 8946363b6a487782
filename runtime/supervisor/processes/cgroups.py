"""Control groups (cgroup v2), where this host has one of its own: the kernel bounds each isolate as it allocates.

Without one, what an isolate uses is looked at once a second (``usage``). Its own is one that systemd has delegated
(``Delegate=yes`` in the unit; the attribute ``user.delegate`` says so), or the folder that PILOT_CGROUP names. The host
and all it starts move to ``host`` below it, for a group that hands controllers on has no processes itself; each isolate
gets one beside that. Kernel docs: admin-guide/cgroup-v2; systemd's: CGROUP_DELEGATION.
"""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

from runtime.supervisor.limits import Limits

_CONTROLLERS = ("memory", "pids", "cpu")
_HOST, _ISOLATE = "host", "isolate-"
_HOST_WEIGHT = 1000  # of the CPU, when it is short; an isolate's is 100
_DELEGATED = ("user.delegate", "trusted.delegate")


class Cgroups:
    """A folder that is divided into the host's part and one for each isolate."""

    def __init__(self, folder: Path, prefix: str = _ISOLATE) -> None:
        """Move there. ``prefix``: of the isolates' names. Raises OSError when it cannot be used."""
        self.folder, self._numbers, self._prefix = folder, itertools.count(1), prefix
        self._clear()
        _move([os.getpid(), *_processes(folder)], folder / _HOST)
        offered = (folder / "cgroup.controllers").read_text().split()
        self.controllers = [name for name in _CONTROLLERS if name in offered]
        (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in self.controllers))
        if "cpu" in self.controllers:
            (folder / _HOST / "cpu.weight").write_text(str(_HOST_WEIGHT))

    def walls(self) -> list[str]:
        """What is bounded here, in words."""
        return [f"a cgroup of its own (bounded: {', '.join(self.controllers) or 'nothing'})"]

    def hold(self, pid: int, limits: Limits | None) -> Cgroup:
        """A group for one isolate, which has run nothing of the worker's yet. Raises OSError."""
        folder = self.folder / f"{self._prefix}{next(self._numbers)}"
        folder.mkdir()
        if limits is not None:
            self._bound(folder, limits)
        _move([pid], folder)
        return Cgroup(folder)

    def _bound(self, folder: Path, limits: Limits) -> None:
        contents = {
            "memory.max": limits.memory_mb << 20,
            "memory.swap.max": 0,
            "memory.oom.group": 1,
            "pids.max": limits.threads,
        }
        for name, value in contents.items():
            if name.partition(".")[0] in self.controllers:
                with suppress(FileNotFoundError):  # a kernel without swap
                    (folder / name).write_text(str(value))

    def _clear(self) -> None:
        """What an earlier life has left."""
        for left in self.folder.glob(f"{self._prefix}*"):
            Cgroup(left).end()


class Cgroup:
    """One isolate's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def end(self) -> None:
        """Whatever still runs in it ends, and it goes."""
        with suppress(OSError):
            (self._folder / "cgroup.kill").write_text("1")  # Linux 5.14
        with suppress(OSError):
            self._folder.rmdir()


def claim(prefix: str = _ISOLATE) -> tuple[Cgroups | None, str]:
    """Before anything is started. With it, or without: what is not bounded by it, in words. ``prefix``: of isolates'
    names, where several supervisors share it."""
    folder = _own()
    if folder is None:
        return None, "No cgroup is this host's own (Delegate=yes in its unit): memory is counted once a second"
    try:
        cgroups = Cgroups(folder, prefix)
    except OSError as error:
        return None, f"The cgroup {folder} cannot be used ({error.strerror}): memory is counted once a second"
    missing = [name for name in _CONTROLLERS if name not in cgroups.controllers]
    return cgroups, f"The cgroup {folder} has no {', '.join(missing)}" if missing else ""


def _own() -> Path | None:
    if named := os.environ.get("PILOT_CGROUP"):
        return Path(named)
    for candidate in _around_us():
        for attribute in _DELEGATED:
            with suppress(OSError):
                if os.getxattr(candidate, attribute) == b"1":
                    return candidate
    return None


def _around_us() -> list[Path]:
    """The one this process is in, and the one above: systemd's ``DelegateSubgroup`` delegates that."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return []
    mount = next((row[4] for row in mounts if row[row.index("-") + 1] == "cgroup2"), None)
    place = next((line[3:] for line in lines if line.startswith("0::/")), None)
    if mount is None or place is None or place == "/":
        return []
    folder = Path(mount + place)
    return [folder, folder.parent]


def _processes(folder: Path) -> list[int]:
    return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]


def _move(pids: list[int], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for pid in pids:
        with suppress(ProcessLookupError):
            (folder / "cgroup.procs").write_text(str(pid))


__all__ = ["Cgroup", "Cgroups", "claim"]
