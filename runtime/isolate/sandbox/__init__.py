"""What a host takes from an isolate before the worker's code is loaded. No privilege is needed for any of it.

``enter`` moves to a root folder of its own (namespaces; where that is asked for) and gives up resources (rlimits), what
root has (capabilities), new privileges, the file system (Landlock) and system calls (seccomp), in that order. Returns
what this kernel does not offer. Nothing of it can be taken back.

It keeps an honest worker's bug, or a dependency gone bad, from the host's files, network and processes. It is not a
boundary between hostile tenants: they share a kernel, and a kernel has holes.
"""

from __future__ import annotations

import ctypes
import resource
import socket
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from runtime.isolate.sandbox import capabilities, landlock, modes, namespaces, seccomp, sockets, syscalls

_PR_SET_NO_NEW_PRIVS = 38
_SYSTEM = (
    "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/usr/share/zoneinfo", "/etc/localtime",
    "/etc/ssl", "/usr/share/ca-certificates", "/etc/mime.types", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/self", "/sys/devices/system/cpu",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """``read``: the worker's own folders; ``temp``: the one for what it writes; limits in bytes, None: none."""

    read: Sequence[str]
    temp: str
    write: Sequence[str] = ()  # further folders of its own
    memory: int | None = None  # of private memory; an allocation beyond it is a MemoryError
    file_size: int | None = None  # of one file
    open_files: int = 1024
    apart: bool = False  # in namespaces of its own, which its process has left for already
    asks: bool = False  # the supervisor is asked about each connection to a socket


def enter(rules: Rules, ask: Callable[[int], object] | None = None) -> list[str]:
    """Shut this process in. Returns one line per level that is missing here. Raises OSError when one fails. ``ask``:
    see ``seccomp.restrict``."""
    places = [*_SYSTEM, *_interpreter(), *rules.read]
    if rules.apart:
        namespaces.furnish(places, rules.temp, _DEVICES, rules.write)
    _limit(rules)
    capabilities.drop()
    _no_new_privileges()
    missing = [
        landlock.restrict(places, writable=[rules.temp, *rules.write], devices=_DEVICES),
        seccomp.restrict([] if landlock.knows_truncate() else [syscalls.TRUNCATE], ask),
    ]
    return [line for line in missing if line]


def refuses_calls() -> bool:
    """Whether this machine has a filter of system calls."""
    return sys.platform == "linux" and not seccomp.missing()


def lend(rules: Rules, line: socket.socket) -> None:
    """What Python's own functions do from here on, where a bare EPERM would not help. ``line``: to the supervisor."""
    sockets.lend(line)
    modes.forgive(rules.temp)


def available() -> list[str]:
    """One line per level that this machine does not offer; empty where all of it works."""
    if sys.platform != "linux":
        return [f"no sandbox on {sys.platform}: workers run with all your rights"]
    return [line for line in (landlock.missing(), seccomp.missing()) if line]


def walls() -> list[str]:
    """What ``enter`` puts up on this machine, in words."""
    levels = {"Landlock": landlock.missing(), "seccomp": seccomp.missing(), "no capabilities": "", "rlimits": ""}
    return [name for name, missing in levels.items() if not missing] if sys.platform == "linux" else []


def _no_new_privileges() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")


def _limit(rules: Rules) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: rules.open_files,
        resource.RLIMIT_DATA: rules.memory,
        resource.RLIMIT_FSIZE: rules.file_size,
    }
    for name, value in limits.items():
        most = resource.getrlimit(name)[1]
        if value is not None:
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(name, (value, value))


def _interpreter() -> list[str]:
    """Python itself, its packages and this one."""
    ours = Path(__file__).resolve().parents[3]
    paths = {sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values()}
    return sorted({*paths, str(ours / "runtime"), str(ours / "bindings")})


__all__ = ["Rules", "available", "enter", "lend", "refuses_calls", "walls"]
