"""What makes root more than a user (man 7 capabilities): a host that runs as root gives none of it to a worker."""

from __future__ import annotations

import ctypes
import os

_VERSION_3 = 0x20080522
_DAC_READ_SEARCH = 1 << 2  # kept where it is had: root reads a user's files, and Landlock says which


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def drop() -> None:
    """For this process and for good. Raises OSError."""
    header, halves = _Header(_VERSION_3, 0), (_Half * 2)()
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.capget(ctypes.byref(header), halves))
    kept = halves[0].permitted & _DAC_READ_SEARCH
    halves[0], halves[1] = _Half(kept, kept, 0), _Half(0, 0, 0)
    _check(libc.capset(ctypes.byref(header), halves))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), f"capabilities: {os.strerror(ctypes.get_errno())}")


__all__ = ["drop"]
