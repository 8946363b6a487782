"""TCP for a process that may open no network socket: the supervisor connects, within the rules of outbound fetches, and
lends a stream that leads there.

Theory of operation. Clients come through Python's ``socket`` and the event loop, so both are changed here. A socket of
the internet is a Unix one, which the sandbox allows; ``connect`` asks on the line and puts the lent stream in its
place, under the same descriptor. TLS, timeouts and selectors work on that as on any other. What a Unix socket knows
nothing of, its addresses and the options of TCP, is answered here. The supervisor looks up names. What a library in C
does past Python's ``socket``, the kernel refuses.
"""

from __future__ import annotations

import _socket
import asyncio
import errno
import os
import socket
from typing import Any, NoReturn

import uvloop

from runtime.isolate.boot import Connect, Connected, Resolve
from runtime.isolate.remote import current_event
from runtime.isolate.sandbox.line import Line

_REFUSED = (
    "a worker on a host has TCP connections to others, and no other network sockets: use one, or  "
    "from workers import fetch"
)
_INTERNET = (socket.AF_INET, socket.AF_INET6)
_LAST_PORT = 65535
_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
_NOWHERE = Connected(("0.0.0.0", 0), ("0.0.0.0", 0))  # noqa: S104 - what an unbound socket says; nobody listens
_OF_NAMES = ("family", "proto", "flags", "local_addr", "happy_eyeballs_delay", "interleave", "all_errors")
_ends: dict[int, Connected] = {}  # by descriptor, of the internet's sockets


def lend(line: socket.socket) -> None:
    """From here on, in this process. ``line``: its end, whose other the supervisor has."""
    asked = Line(line)
    _lend_names(asked)
    _lend_connections(asked)
    _know_the_internet()
    _lend_to_loops()


def _lend_names(line: Line) -> None:
    def getaddrinfo(
        host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[tuple[Any, ...]]:
        asked = Resolve(_name(host), port.decode() if isinstance(port, bytes) else port, family, type, proto, flags)
        return [(_family(found[0]), socket.SocketKind(found[1]), *found[2:]) for found in line.resolve(asked).found]

    def gethostbyname(hostname: str) -> str:
        return str(getaddrinfo(hostname, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])

    def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
        found = getaddrinfo(hostname, None, socket.AF_INET, socket.SOCK_STREAM)
        return hostname, [], [info[4][0] for info in found]

    names = {"getaddrinfo": getaddrinfo, "gethostbyname": gethostbyname, "gethostbyname_ex": gethostbyname_ex}
    for name, function in {**names, "gethostbyaddr": _refuse, "getnameinfo": _refuse}.items():
        setattr(socket, name, function)


def _name(host: bytes | str | None) -> str | None:
    if isinstance(host, str) and not host.isascii():
        host = host.encode("idna")
    return host.decode() if isinstance(host, bytes) else host


def _family(number: int) -> int:
    return socket.AddressFamily(number)


def _lend_connections(line: Line) -> None:
    original_init, original_connect = socket.socket.__init__, socket.socket.connect

    def init(self: socket.socket, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        if fileno is None and family in (-1, *_INTERNET) and (type == -1 or type & ~_FLAGS == socket.SOCK_STREAM):
            family, type = _known(family, socket.AF_INET), _known(type, socket.SOCK_STREAM)
            fileno = _socket.socket(socket.AF_UNIX, type).detach()
            _ends.pop(fileno, None)
        try:
            original_init(self, family, type, proto, fileno)
        except PermissionError:
            _refuse()

    def connect(self: socket.socket, address: Any) -> None:
        if self.family not in _INTERNET:
            return original_connect(self, address)
        if self.fileno() in _ends:
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        host, port = address[:2]
        if not 0 <= port <= _LAST_PORT:
            raise OverflowError(f"connect(): port must be 0-{_LAST_PORT}.")  # as Python says it
        answer, lent = line.connect(Connect(current_event.get(), host, port), self.gettimeout() or None)
        try:
            os.dup2(lent, self.fileno(), inheritable=False)
        finally:
            os.close(lent)
        self.settimeout(self.gettimeout())  # which the descriptor does not know yet
        _ends[self.fileno()] = answer

    def connect_ex(self: socket.socket, address: Any) -> int:
        try:
            connect(self, address)
        except TimeoutError:
            return errno.EAGAIN
        except OSError as error:
            return error.errno or errno.EPERM
        return 0

    ours: Any = socket.socket
    ours.__init__, ours.connect, ours.connect_ex = init, connect, connect_ex


def _known(given: int, otherwise: int) -> int:
    return otherwise if given == -1 else given


def _know_the_internet() -> None:
    """What a Unix socket would know nothing of. The loop's own, which it takes for one, has no options of TCP, too."""
    ours: Any = socket.socket
    originals = {
        name: getattr(ours, name) for name in ("getpeername", "getsockname", "getsockopt", "setsockopt", "bind")
    }

    def getpeername(self: socket.socket) -> Any:
        known = _ends.get(self.fileno()) if self.family in _INTERNET else None
        return originals["getpeername"](self) if known is None else known.peer

    def getsockname(self: socket.socket) -> Any:
        return _ends.get(self.fileno(), _NOWHERE).own if self.family in _INTERNET else originals["getsockname"](self)

    def setsockopt(self: socket.socket, level: int, *args: Any) -> None:
        if level == socket.SOL_SOCKET:
            originals["setsockopt"](self, level, *args)

    def getsockopt(self: socket.socket, level: int, option: int, size: int = 0) -> Any:
        if level == socket.SOL_SOCKET:
            return originals["getsockopt"](self, level, option, *([size] if size else []))
        return bytes(size) if size else 0

    def bind(self: socket.socket, address: Any) -> None:
        if self.family in _INTERNET:
            _refuse()
        originals["bind"](self, address)

    ours.getpeername, ours.getsockname, ours.bind = getpeername, getsockname, bind
    ours.setsockopt, ours.getsockopt = setsockopt, getsockopt


def _lend_to_loops() -> None:
    """What asks waits in a thread, and the loop goes on."""
    loop: Any = uvloop.Loop
    original_create, original_connect = loop.create_connection, loop.sock_connect

    async def create_connection(
        self: Any, factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **named: Any
    ) -> Any:
        if sock is None:
            sock = await asyncio.to_thread(socket.create_connection, (host, port))
            if named.get("ssl"):
                named["server_hostname"] = named.get("server_hostname") or host
        if sock.family in _INTERNET:
            sock = socket.socket(fileno=sock.detach())  # libuv asks the kernel what it is
        options = {name: value for name, value in named.items() if name not in _OF_NAMES}
        return await original_create(self, factory, sock=sock, **options)

    async def sock_connect(self: Any, sock: socket.socket, address: Any) -> None:
        if sock.family in _INTERNET:
            await asyncio.to_thread(sock.connect, address)
        else:
            await original_connect(self, sock, address)

    async def getaddrinfo(self: Any, host: Any, port: Any, **named: Any) -> Any:
        return await asyncio.to_thread(socket.getaddrinfo, host, port, **named)

    loop.create_connection, loop.sock_connect, loop.getaddrinfo = create_connection, sock_connect, getaddrinfo
    loop.create_datagram_endpoint = loop.getnameinfo = _refuse_async


def _refuse(*_: object, **__: object) -> NoReturn:
    raise PermissionError(errno.EPERM, _REFUSED)


async def _refuse_async(*_: object, **__: object) -> NoReturn:
    _refuse()


__all__ = ["lend"]
