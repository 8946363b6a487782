"""Seccomp (Linux 3.17): which system calls this process and its children may still make. man 2 seccomp.

A list of what is refused, with EPERM, so that a library that only tries goes on: what starts programs, reaches other
processes, changes the machine or opens a network socket. A filter program of our own: the one library for it needs
a system package and has had no release for years, and this is forty instructions.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator

_SECCOMP_SET_MODE_FILTER, _TSYNC = 1, 1
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_AF_UNIX = 1
_NAMESPACES = 0x7E020080  # CLONE_NEW*
_TIOCSTI = 0x5412  # types into a terminal
_X32 = 0x40000000

# machine → (AUDIT_ARCH, number of seccomp, column of _NUMBERS)
_MACHINES = {"x86_64": (0xC000003E, 317, 0), "aarch64": (0xC00000B7, 277, 1)}

_REFUSED = {  # name → numbers on x86_64, aarch64
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "perf_event_open": (298, 241),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
}
_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)
_TO_A_PROCESS = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}  # itself alone, or its own group: 0


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def missing() -> str:
    """What to tell of this machine; empty where there is nothing to tell."""
    if platform.machine() in _MACHINES:
        return ""
    return f"no seccomp filter for {platform.machine()}: a worker can start programs and open sockets"


def restrict() -> str:
    """From here on. Needs no_new_privs. Returns ``missing()``. Raises OSError."""
    if missing():
        return missing()
    arch, seccomp, column = _MACHINES[platform.machine()]
    code = b"".join(_program(arch, column))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(seccomp), _SECCOMP_SET_MODE_FILTER, _TSYNC, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
    return ""


def _program(arch: int, column: int) -> Iterator[bytes]:
    yield from (_op(_LOAD, _ARCH), _op(_EQUAL, arch, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NUMBER))
    if column == 0:
        yield from (_op(_AT_LEAST, _X32, 0, 1), _refuse())
    for numbers in _REFUSED.values():
        yield from (_op(_EQUAL, numbers[column], 0, 1), _refuse())
    # clone3 keeps its flags in memory, out of a filter's sight; libc then uses clone.
    yield from (_op(_EQUAL, _CLONE3[column], 0, 1), _refuse(errno.ENOSYS))
    yield from _argument(_CLONE[column], 0, _op(_ANY_BIT, _NAMESPACES, 0, 1), _refuse())
    yield from _argument(_SOCKET[column], 0, _op(_EQUAL, _AF_UNIX, 1, 0), _refuse())
    yield from _argument(_IOCTL[column], 1, _op(_EQUAL, _TIOCSTI, 0, 1), _refuse())
    for numbers in _TO_A_PROCESS.values():
        itself = (_op(_EQUAL, 0, 2, 0), _op(_EQUAL, os.getpid(), 1, 0))
        yield from _argument(numbers[column], 0, *itself, _refuse())
    yield _op(_RETURN, _ALLOW)


def _argument(number: int, index: int, *tests: bytes) -> Iterator[bytes]:
    """``tests`` look at the low half of one argument of one call; the number is there again afterwards."""
    yield _op(_EQUAL, number, 0, len(tests) + 2)
    yield _op(_LOAD, _ARGUMENTS + 8 * index)
    yield from tests
    yield _op(_LOAD, _NUMBER)


def _refuse(number: int = errno.EPERM) -> bytes:
    return _op(_RETURN, _ERRNO | number)


def _op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k)


__all__ = ["missing", "restrict"]
