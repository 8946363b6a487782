"""Messages with file descriptors beside them, over one end of a pair of sockets that keeps messages apart."""

from __future__ import annotations

import array
import asyncio
import socket
from collections.abc import Callable, Sequence

_MAX_BYTES = 256 * 1024
_MAX_DESCRIPTORS = 4


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Descriptors:
    """``take(message, descriptors)`` owns what comes; ``gone()``: the other end is."""

    def __init__(
        self, sock: socket.socket, take: Callable[[bytes, list[int]], None], gone: Callable[[], None] = lambda: None
    ) -> None:
        self._sock, self._take, self._gone = sock, take, gone
        sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._read)

    async def send(self, message: bytes, descriptors: Sequence[int]) -> None:
        """Raises OSError: the other end is gone."""
        while True:
            try:
                passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
                self._sock.sendmsg([message], passed)
                return
            except BlockingIOError:
                await self._writable()

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    async def _writable(self) -> None:
        free = asyncio.Event()
        self._loop.add_writer(self._sock.fileno(), free.set)
        try:
            await free.wait()
        finally:
            self._loop.remove_writer(self._sock.fileno())

    def _read(self) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(
                self._sock, _MAX_BYTES, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            message, descriptors = b"", []
        if message:
            return self._take(message, descriptors)
        self.close()
        self._gone()


__all__ = ["Descriptors", "pair"]
