"""Seccomp (Linux 3.17): which system calls this process and its children may still make. man 2 seccomp.

A list of what is refused (``syscalls``), with EPERM, so that a library that only tries goes on. A filter program of our
own: the one library for it needs a system package and has had no release for years, and this is forty lines.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from runtime.isolate.sandbox import syscalls
from runtime.isolate.sandbox.syscalls import Numbers

_SECCOMP_SET_MODE_FILTER, _TSYNC, _NEW_LISTENER, _TSYNC_ESRCH = 1, 1, 8, 16
_ALLOW, _ERRNO, _KILL, _ASK = 0x7FFF0000, 0x00050000, 0x80000000, 0x7FC00000
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000  # x86-64's second set of numbers, with 32-bit pointers
_HALF = 0xFFFFFFFF

# machine → (AUDIT_ARCH, number of seccomp, column of Numbers)
_MACHINES = {"x86_64": (0xC000003E, 317, 0), "aarch64": (0xC00000B7, 277, 1)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def missing() -> str:
    """What to tell of this machine; empty where there is nothing to tell."""
    if platform.machine() in _MACHINES:
        return ""
    return f"no seccomp filter for {platform.machine()}: a worker can start programs and open sockets"


def restrict(also: Sequence[Numbers] = (), ask: Callable[[int], object] | None = None) -> str:
    """From here on; ``also``: refuse these too. Needs no_new_privs. Returns ``missing()``. Raises OSError.

    ``ask`` gets a descriptor, and whoever has it is asked about each ``connect``, instead of its refusal; it is called
    where the kernel (Linux 5.9) can ask.
    """
    if missing():
        return missing()
    arch, seccomp, column = _MACHINES[platform.machine()]
    code = b"".join(program(arch, column, os.getpid(), also, asked=ask is not None))
    filter_ = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    flags = _TSYNC | (_NEW_LISTENER | _TSYNC_ESRCH if ask else 0)
    descriptor = libc.syscall(ctypes.c_long(seccomp), _SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(filter_))
    if descriptor < 0 and ask is not None and ctypes.get_errno() == errno.EINVAL:  # an older kernel
        return restrict(also)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
    if ask is not None:
        ask(descriptor)
    return ""


def program(arch: int, column: int, own: int, also: Sequence[Numbers] = (), *, asked: bool = False) -> Iterator[bytes]:
    """The filter's instructions, for a process with the id ``own``."""
    yield from (_op(_LOAD, _ARCH), _op(_EQUAL, arch, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NUMBER))
    if column == 0:
        yield from (_op(_AT_LEAST, _X32, 0, 1), _refuse())
    if asked:
        yield from (_op(_EQUAL, syscalls.CONNECT[column] or 0, 0, 1), _op(_RETURN, _ASK))
    plain = [*(numbers for group in syscalls.REFUSED.values() for numbers in group.values()), *also]
    yield from _always(plain, column, errno.EPERM)
    yield from _always(syscalls.UNSUPPORTED.values(), column, errno.EOPNOTSUPP)
    # clone3 keeps its flags in memory, out of a filter's sight; libc then uses clone. What is no thread is a fork.
    yield from _always([syscalls.CLONE3], column, errno.ENOSYS)
    yield from _argument(syscalls.CLONE[column], 0, _op(_ANY_BIT, syscalls.CLONE_THREAD, 1, 0), _refuse())
    yield from _argument(syscalls.CLONE[column], 0, _op(_ANY_BIT, syscalls.CLONE_NAMESPACES, 0, 1), _refuse())
    for numbers, argument, values in syscalls.REFUSED_WITH.values():
        for value in values:
            yield from _argument(numbers[column], argument, _op(_EQUAL, value, 0, 1), _refuse())
    for numbers, checks in syscalls.ALLOWED_WITH.values():
        for argument, mask, values in checks:
            yield from _only(numbers[column], argument, mask, [*_named(values, own)])
    yield _op(_RETURN, _ALLOW)


def _named(values: Sequence[int], own: int) -> Iterator[int]:
    for value in values:
        yield from (0, own) if value == syscalls.OWN else (value,)


def _always(calls: Iterable[Numbers], column: int, error: int) -> Iterator[bytes]:
    for numbers in calls:
        if (number := numbers[column]) is not None:
            yield from (_op(_EQUAL, number, 0, 1), _refuse(error))


def _only(number: int | None, index: int, mask: int, values: Sequence[int]) -> Iterator[bytes]:
    """Refused unless the argument, under ``mask``, is one of ``values``."""
    tests = [_op(_EQUAL, value, len(values) - at, 0) for at, value in enumerate(values)]
    yield from _argument(number, index, _op(_AND, mask & _HALF), *tests, _refuse())


def _argument(number: int | None, index: int, *tests: bytes) -> Iterator[bytes]:
    """``tests`` look at the low half of one argument of one call; the number is there again afterwards."""
    if number is not None:
        yield _op(_EQUAL, number, 0, len(tests) + 2)
        yield _op(_LOAD, _ARGUMENTS + 8 * index)
        yield from tests
        yield _op(_LOAD, _NUMBER)


def _refuse(number: int = errno.EPERM) -> bytes:
    return _op(_RETURN, _ERRNO | number)


def _op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k)


__all__ = ["missing", "program", "restrict"]
