"""Landlock (Linux 5.13): which files this process and its children may still open. Kernel docs: userspace-api/landlock.

By system call, for libc has no wrapper. A path that does not exist is left out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Sequence

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION = 1
_PATH_BENEATH = 1
_READ = (1 << 2) | (1 << 3)  # read a file, list a folder
_WRITE = (1 << 1) | sum(1 << bit for bit in (4, 5, 7, 8, 9, 10, 12))  # files, folders, links; no devices
_ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by the ABI that brought them
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_ON_FILES = (1 << 1) | (1 << 2) | _TRUNCATE
_NETWORK = 0b11  # ABI 4: bind and connect of TCP
_SCOPES = 0b11  # ABI 6: abstract Unix sockets, signals


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def missing() -> str:
    """What to tell of this kernel; empty where there is nothing to tell."""
    return "" if _abi() else "Landlock is not available (Linux 5.13, enabled): a worker can read what this user can"


def level() -> int:
    """The version of its interface that this kernel has; 0: none."""
    return _abi()


def knows_truncate() -> bool:
    """Older ones let a file be cut by its path."""
    return _abi() >= 3


def restrict(readable: Sequence[str], writable: Sequence[str], devices: Sequence[str]) -> str:
    """From here on only these. Returns ``missing()``. Raises OSError."""
    abi = _abi()
    if not abi:
        return missing()
    handled = max(mask for since, mask in _ALL.items() if since <= abi)
    rules = _Ruleset(handled, _NETWORK if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ & handled)
        for path in writable:
            _allow(ruleset, path, (_READ | _WRITE | _REFER | _TRUNCATE) & handled)
        for path in devices:
            _allow(ruleset, path, _ON_FILES & handled)
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)
    return ""


def _abi() -> int:
    try:
        return _call(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    except OSError:
        return 0


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOTDIR):
            return
        raise
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _ON_FILES
        beneath = _Beneath(rights, place)
        _call(_ADD, ruleset, _PATH_BENEATH, ctypes.byref(beneath), 0)
    finally:
        os.close(place)


def _call(number: int, *args: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    done: int = libc.syscall(ctypes.c_long(number), *args)
    if done < 0:
        raise OSError(ctypes.get_errno(), f"landlock: {os.strerror(ctypes.get_errno())}")
    return done


__all__ = ["knows_truncate", "level", "missing", "restrict"]
