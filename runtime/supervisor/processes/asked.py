"""What a shut-in isolate connects to: the supervisor is asked about each ``connect``, and lends the answering binding's
end of a socket pair in the place of the worker's own socket.

Theory of operation
-------------------
The isolate's filter (``sandbox.seccomp``) refuses connections. Of a worker with a binding that answers them it stops
the thread instead, and the descriptor that the isolate has sent ahead of all messages tells of it. The address lies in
the isolate's memory, where another thread may change it meanwhile, so nothing depends on it but the choice of one of
this worker's own bindings: its socket, whatever it was, is replaced by one of a pair that ends here, and the call
returns 0. No connection of the isolate's own is ever made. man 2 seccomp_unotify.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from bindings.base import Answering, Connect
from runtime.isolate.boot import ASKS

_RECEIVE, _SEND, _ADD = 0xC0502100, 0xC0182101, 0x40182103
_NOTICE = struct.Struct("=QIIiIQ6Q")  # id, pid, flags; number, architecture, instruction, arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, -error, flags
_ADDED = struct.Struct("=QIIII")  # id, flags, our descriptor, the isolate's, flags of that
_IN_PLACE = 1
_ADDRESS = struct.Struct("=H108s")
_MAX_OPEN = 100  # connections of one isolate
_FIRST_WORD_S = 20.0


class _Notice(NamedTuple):
    id: int
    pid: int
    descriptor: int
    address: int


class Asked:
    """About the connections of one isolate. ``bindings``: by folder of their sockets."""

    def __init__(self, listener: int, bindings: Mapping[str, Answering], connect: Connect) -> None:
        self._listener, self._bindings, self._connect = listener, bindings, connect
        self._open: set[asyncio.Task[None]] = set()
        asyncio.get_running_loop().add_reader(listener, self._next)

    def close(self) -> None:
        """The isolate has ended."""
        asyncio.get_running_loop().remove_reader(self._listener)
        os.close(self._listener)
        for task in self._open:
            task.cancel()

    def _next(self) -> None:
        notice = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, notice)
        except OSError:
            return  # the thread that asked is gone
        id, pid, _, _, _, _, descriptor, address, *_ = _NOTICE.unpack(notice)
        asked = _Notice(id, pid, descriptor & 0xFFFFFFFF, address)
        try:
            value, error = self._lent(asked), 0
        except OSError as refused:
            value, error = 0, refused.errno or errno.EPERM
        with suppress(OSError):
            fcntl.ioctl(self._listener, _SEND, _ANSWER.pack(id, value, -error, 0))

    def _lent(self, asked: _Notice) -> int:
        """Raises OSError."""
        binding = self._bindings.get(os.path.dirname(_path(asked)))
        if binding is None:
            raise PermissionError(errno.EPERM, "no binding answers there")
        if len(self._open) >= _MAX_OPEN:
            raise OSError(errno.EAGAIN, "too many connections")
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.setblocking(not _flags(asked) & os.O_NONBLOCK)
            added = _ADDED.pack(asked.id, _IN_PLACE, theirs.fileno(), asked.descriptor, _flags(asked) & os.O_CLOEXEC)
            try:
                fcntl.ioctl(self._listener, _ADD, added)
            except OSError:
                ours.close()
                raise
        task = asyncio.create_task(self._answer(binding, ours))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return 0

    async def _answer(self, binding: Answering, sock: socket.socket) -> None:
        try:
            sock.setblocking(False)
            reader, writer = await asyncio.open_unix_connection(sock=sock)
        except BaseException:
            sock.close()
            raise
        try:
            with suppress(OSError):
                await binding.answer(reader, writer, self._connect)
        finally:
            writer.close()


def _path(asked: _Notice) -> str:
    """Of the Unix socket; "": it is another kind of address. Raises OSError."""
    with open(f"/proc/{asked.pid}/mem", "rb", buffering=0) as memory:
        memory.seek(asked.address)
        family, path = _ADDRESS.unpack(memory.read(_ADDRESS.size).ljust(_ADDRESS.size, b"\0"))
    return os.fsdecode(path.partition(b"\0")[0]) if family == socket.AF_UNIX else ""


def _flags(asked: _Notice) -> int:
    """Of the isolate's own socket. Raises OSError."""
    with open(f"/proc/{asked.pid}/fdinfo/{asked.descriptor}", "rb") as lines:
        return next(int(line.split()[1], 8) for line in lines if line.startswith(b"flags:"))


async def asking_of(channel: socket.socket) -> tuple[int | None, int | None]:
    """What the isolate sends ahead of all messages: its line for names and connections, and the listener. None: it has
    nothing to ask with, or has ended. Raises OSError."""
    channel.setblocking(False)
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(channel, ready.set)
    try:
        async with asyncio.timeout(_FIRST_WORD_S):
            await ready.wait()
    finally:
        loop.remove_reader(channel)
    _, descriptors, _, _ = socket.recv_fds(channel, len(ASKS), 2)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    line, listener, *_ = [*descriptors, None, None]
    return line, listener


__all__ = ["Asked", "asking_of"]
