"""What a limited process does to itself before it reads anything. Its other half is ``bindings.limited.parent``.

Theory of operation
-------------------
Whoever made the file may have made it to harm its reader: a small one that unpacks to gigabytes, one nested without
end, one that points at files or servers. So the process has the file and what is to be done with it, and little else:
an environment without secrets, no network where the kernel lets an ordinary user give it up, limits on memory,
processor time, wall time and what it may write. What Python itself opens, connects to or starts is refused by an audit
hook, except for reading the installed packages.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

LENGTH_BYTES = 4  # of a request's length, which goes before it
_UNSHARE_NETWORK = 0x10000000 | 0x40000000  # CLONE_NEWUSER | CLONE_NEWNET
_REFUSED_EVENTS = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pty.",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.kill",
    "shutil.",
    "webbrowser.",
)
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def silence() -> None:
    """Libraries print: to nowhere. And tokens that stream on the same cores come first."""
    os.nice(10)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)


def receive(descriptors: int) -> tuple[bytes, list[int]]:
    """What to do, and at most so many files that it is about: once ``bindings.limited.spare`` sends them. The process
    ends where that will not be."""
    with socket.socket(fileno=os.dup(0)) as requests:
        head, numbers, _, _ = socket.recv_fds(requests, LENGTH_BYTES, descriptors)
        request, size = bytearray(), int.from_bytes(head, "big")
        while len(request) < size and (piece := requests.recv(size - len(request))):
            request += piece
    if len(head) < LENGTH_BYTES or len(request) < size:
        os._exit(0)
    return bytes(request), numbers


def limit(*, memory: int, cpu_s: int, wall_s: int, file_bytes: int = 0) -> None:
    """Where the system knows a limit; the parent has a clock of its own besides. ``memory``: bytes of address space,
    the libraries' own included; ``file_bytes``: of a file that is written."""
    import ctypes
    import resource

    signal.alarm(wall_s)
    if sys.platform == "linux":
        ctypes.CDLL(None).unshare(_UNSHARE_NETWORK)  # some kernels refuse: the audit hook is there in any case
    for name, most in (("AS", memory), ("CPU", cpu_s), ("FSIZE", file_bytes), ("CORE", 0)):
        with suppress(OSError, ValueError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))


def seal() -> None:
    """From here on nothing but descriptors that are open already, and installed packages."""
    packages = tuple({os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix, sys.exec_prefix)})

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            _check_open(args[0], args[2] or 0, packages)
        elif event.startswith(_REFUSED_EVENTS):
            raise PermissionError(f"a conversion may not use {event}")

    sys.addaudithook(hook)


def _check_open(path: int | str | bytes, flags: int, packages: tuple[str, ...]) -> None:
    """A number is a descriptor that is open already."""
    if isinstance(path, int):
        return
    if flags & _WRITE_FLAGS or not os.path.realpath(os.fsdecode(path)).startswith(packages):
        raise PermissionError("a conversion may not open files")


__all__ = ["LENGTH_BYTES", "limit", "receive", "seal", "silence"]
