"""What a client library is told that wants a network socket: seccomp's bare EPERM does not say what to do.

Said where all of them come through: names, sockets and connections, of ``socket`` and of the event loop.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, NoReturn

import uvloop

_NO_SOCKETS = (
    "a worker on a host opens no network sockets, so this client cannot connect: use  from workers import fetch"
)
_NAMES = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")


def explain() -> None:
    """From here on, in this process."""
    for name in _NAMES:
        setattr(socket, name, _refuse)
    _explain_sockets()
    _explain_connections()


def _refuse(*_: object, **__: object) -> NoReturn:
    raise PermissionError(errno.EPERM, _NO_SOCKETS)


async def _refuse_async(*_: object, **__: object) -> NoReturn:
    _refuse()


def _explain_sockets() -> None:
    original_init = socket.socket.__init__

    def init(self: socket.socket, *args: Any, **named: Any) -> None:
        try:
            original_init(self, *args, **named)
        except PermissionError:
            _refuse()

    socket.socket.__init__ = init  # type: ignore[method-assign]


def _explain_connections() -> None:
    original_create_connection = uvloop.Loop.create_connection

    async def create_connection(self: Any, factory: Any, *args: Any, sock: Any = None, **named: Any) -> Any:
        if sock is None:
            raise RuntimeError(_NO_SOCKETS)  # of an OSError, httpx says no more than "All connection attempts failed"
        return await original_create_connection(self, factory, *args, sock=sock, **named)

    loop: Any = uvloop.Loop
    loop.create_connection, loop.getaddrinfo, loop.getnameinfo = create_connection, _refuse_async, _refuse_async
    loop.sock_connect = loop.create_datagram_endpoint = _refuse_async


__all__ = ["explain"]
