"""Namespaces (man 7 namespaces): a worker that sees no network, no other process, and no file but its own places.

Theory of operation
-------------------
``leave`` gives the process that calls it a user namespace of its own, in which it may make all the others, without any
privilege outside; its next child is process 1 of a new process namespace. ``furnish``, in that child, makes a file
system in memory, binds the readable places into it under their own names, without the right to write, and makes it the
root: a path outside has no meaning any more, not even for ``stat``. Landlock and seccomp come on top.

Run as a program, it tries both, and prints what is in the way.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_KEPT = {os.ST_NOSUID: _NOSUID, os.ST_NODEV: _NODEV, os.ST_NOEXEC: _NOEXEC, os.ST_NOATIME: 1024, os.ST_NODIRATIME: 2048}
_RELATIME = (os.ST_RELATIME, 1 << 21)
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_BELOW_PROC = "/proc"
_TRY_TIMEOUT_S = 30.0


def missing() -> str:
    """What is in the way of them on this machine; empty where nothing is."""
    if platform.machine() not in _PIVOT_ROOT:
        return f"not on {platform.machine()}"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", __name__, folder]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_TRY_TIMEOUT_S, check=False)
    return "" if tried.returncode == 0 else tried.stdout.strip() or tried.stderr.strip().rpartition("\n")[2]


def leave() -> None:
    """This process's own namespaces; of processes, from its next child on. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    _check(_libc().unshare(_NEWUSER | _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS), "user namespaces")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(text)


def furnish(readable: Iterable[str], temp: str, devices: Sequence[str], writable: Sequence[str] = ()) -> None:
    """The root folder, for this process, which has left. ``temp`` and ``writable`` can be written. Raises OSError."""
    if os.getpid() != 1:
        raise OSError(errno.EPERM, "not in namespaces of its own")
    _mount("none", "/", "", _REC | _PRIVATE)
    root = os.path.join(temp, "root")
    os.mkdir(root)
    _mount("none", root, "tmpfs", _NOSUID, "size=1m,mode=755")
    _mount("proc", _place(root, _BELOW_PROC, folder=True), "proc", _NOSUID | _NODEV | _NOEXEC)
    for place in sorted({*readable}):
        if not place.startswith(_BELOW_PROC):
            _bind(root, place, _RDONLY)
    for place in (*devices, *writable):
        _bind(root, place, 0)
    _mount(temp, _place(root, temp, folder=True), "", _BIND)  # without what is mounted in it
    _enter_root(root)
    os.rmdir(os.path.join(temp, "root"))
    _mount("none", "/", "", _REMOUNT | _BIND | _RDONLY | _NOSUID)
    os.chdir(temp)


def _bind(root: str, place: str, flags: int) -> None:
    """``place`` at its own name, and where it is a link, what that leads to."""
    real = os.path.realpath(place)
    if not os.path.exists(real) or _is_there(root, place):
        return
    if real != place:
        _bind(root, real, flags)
        _link(root, place)
        return
    target = _place(root, place, folder=os.path.isdir(place))
    _mount(place, target, "", _BIND | _REC)
    _mount("none", target, "", _REMOUNT | _BIND | flags | _flags_of(target))


def _is_there(root: str, place: str) -> bool:
    """It lies in a place that is bound already."""
    return os.path.lexists(root + place) and os.path.samestat(os.stat(root + place), os.stat(place))


def _link(root: str, place: str) -> None:
    """The first link on the way to ``place``, as it is."""
    for part in (*reversed(Path(place).parents), Path(place)):
        if part.is_symlink():
            if not os.path.lexists(f"{root}{part}"):
                Path(f"{root}{part}").parent.mkdir(parents=True, exist_ok=True)
                os.symlink(os.readlink(part), f"{root}{part}")
            return


def _place(root: str, place: str, *, folder: bool) -> str:
    target = Path(root + place)
    (target if folder else target.parent).mkdir(parents=True, exist_ok=True)
    if not folder:
        target.touch()
    return str(target)


def _flags_of(target: str) -> int:
    """What another user namespace has locked has to be said again."""
    found = os.statvfs(target).f_flag
    kept = sum(flag for bit, flag in _KEPT.items() if found & bit)
    return kept | (_RELATIME[1] if found & _RELATIME[0] else 0)


def _enter_root(root: str) -> None:
    os.chdir(root)
    _check(_libc().syscall(ctypes.c_long(_PIVOT_ROOT[platform.machine()]), b".", b"."), "pivot_root")
    _check(_libc().umount2(b".", _DETACH), "umount")  # the old root, which lies over the new one
    os.chdir("/")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = [word.encode() for word in (source, target, kind)]
    _check(_libc().mount(*words, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _try(folder: str) -> int:
    """The exit code; prints what is in the way."""
    try:
        leave()
        if (child := os.fork()) != 0:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        furnish(["/usr/lib"], folder, ["/dev/null"])
    except OSError as error:
        print(error.strerror or error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_try(sys.argv[1]))


__all__ = ["furnish", "leave", "missing"]
