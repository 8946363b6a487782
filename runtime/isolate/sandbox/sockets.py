"""What a client library is told that wants a network socket: seccomp's bare EPERM does not say what to do.

Said where all of them come through: names, sockets and connections, of ``socket`` and of the event loop.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, NoReturn

import uvloop

TOLD = "a worker on a host opens no network sockets, so this client cannot connect: use  from workers import fetch"
_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")


def explain() -> None:
    """From here on, in this process."""
    for name in _NAMES:
        setattr(socket, name, _refuse)
    _explain_sockets()
    _explain_connections()


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise PermissionError(errno.EPERM, TOLD)


async def _refuse_soon(*_: Any, **__: Any) -> NoReturn:
    _refuse()


def _explain_sockets() -> None:
    made = socket.socket.__init__

    def init(self: socket.socket, *args: Any, **named: Any) -> None:
        try:
            made(self, *args, **named)
        except PermissionError:
            _refuse()

    socket.socket.__init__ = init  # type: ignore[method-assign]


def _explain_connections() -> None:
    connected = uvloop.Loop.create_connection

    async def create_connection(self: Any, factory: Any, *args: Any, sock: Any = None, **named: Any) -> Any:
        if sock is None:
            raise RuntimeError(TOLD)  # of an OSError, httpx says no more than "All connection attempts failed"
        return await connected(self, factory, *args, sock=sock, **named)

    loop: Any = uvloop.Loop
    loop.create_connection, loop.getaddrinfo, loop.getnameinfo = create_connection, _refuse_soon, _refuse_soon
    loop.sock_connect = loop.create_datagram_endpoint = _refuse_soon


__all__ = ["TOLD", "explain"]
