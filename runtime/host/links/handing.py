"""A connection that another process on this machine goes on with, from the request that is in hand.

Who hands it over has read a request's head to know whose it is. So the bytes of the request go along, and the socket
itself; the other process reads both as if the client had come to it. Of a TLS connection, whose keys are
in this process, a pair of sockets goes in the place of its own, and this process carries the bytes.

A request that came in one packet with the end of another cannot be told from it any more, and is not handed over: its
connection is closed, as the client of a pipeline must expect (RFC 9112, section 9.3.2).
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, NamedTuple

from runtime.supervisor.http import cycles
from runtime.supervisor.http.asgi import Send
from runtime.supervisor.http.protocol import Protocol, Server

MOST_BYTES = 64 * 1024  # of a request that go along in one message; more go by a pair of sockets


class Arrival(NamedTuple):
    """A connection as it is handed over. ``read``: bytes that were read of it. ``client``, ``server``: its ends, and
    ``scheme``: how it came, where the socket does not show that."""

    read: bytes
    client: tuple[str, int] | None
    server: tuple[str, int] | None
    scheme: str


class HandingProtocol(Protocol):
    """Keeps the bytes of a request until it is known that it is answered here."""

    __slots__ = ("_begun", "_read")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._read: bytes | None = None  # since the request's first byte
        self._begun = 0  # requests in it

    def data_received(self, data: bytes) -> None:
        if self._rests():
            self._read, self._begun = data, 0
        elif self._read is not None:  # what is to be handed over is so at once: before more of it comes
            self._read = self._read + data if self._head is not None else None
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._begun += 1
        if self._begun > 1:
            self._read = None
        super().on_message_begin()

    def _without_upgrade(self) -> bytes:
        self._begun -= 1  # the parser is told of the same request once more
        return super()._without_upgrade()

    def _rests(self) -> bool:
        return self._head is None and self._in_line and (self.cycle is None or self.cycle.response_complete)

    def leave(self) -> Arrival | None:
        """Nothing more is read here, and the connection is nobody's until it is handed over. None: it cannot be."""
        read, self._read = self._read, None
        if read is None:
            return None
        self.transport.pause_reading()
        cycle = self.cycle
        arrival = Arrival(read, self.client, self.server, self.scheme or "http")  # type: ignore[arg-type]
        cycle.response_started = cycle.response_complete = True
        self.let_go()
        return arrival


def leave(send: Send) -> tuple[Arrival, asyncio.Transport] | None:
    """The connection of the request whose ``send`` it is; see ``HandingProtocol.leave``."""
    cycle = cycles.cycle_of(send)
    if cycle is None or cycle.disconnected:
        return None
    connection = cycles.connection_of(cycle)
    assert isinstance(connection, HandingProtocol)
    arrival = connection.leave()
    return None if arrival is None else (arrival, cycle.transport)


async def passable(arrival: Arrival, transport: asyncio.Transport) -> tuple[Arrival, socket.socket]:
    """What can go to another process, in the place of the connection here. Raises OSError."""
    sock = transport.get_extra_info("socket")
    if arrival.scheme == "http" and len(arrival.read) <= MOST_BYTES:
        passed = socket.socket(fileno=os.dup(sock.fileno()))
        transport.abort()  # its socket is open in that
        return arrival, passed
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    here = _Carrying(transport)
    far, _ = await asyncio.get_running_loop().create_connection(lambda: _Carrying(None, here), sock=ours)
    far.write(arrival.read)
    here.begin(far)
    return arrival._replace(read=b""), theirs


async def arrive(server: Server, arrival: Arrival, sock: socket.socket) -> None:
    """Go on with a connection as if it had come here. Raises OSError."""
    sock.setblocking(False)
    await asyncio.get_running_loop().connect_accepted_socket(lambda: _Arriving(server, arrival), sock)


class _Arriving(asyncio.Protocol):
    def __init__(self, server: Server, arrival: Arrival) -> None:
        self._server, self._arrival = server, arrival

    def connection_made(self, transport: Any) -> None:
        protocol = self._server.new_protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.client, protocol.server = self._arrival.client, self._arrival.server
        protocol.scheme = self._arrival.scheme  # type: ignore[assignment]
        if self._arrival.read:
            protocol.data_received(self._arrival.read)


class _Carrying(asyncio.Protocol):
    """One of two connections whose bytes go to each other."""

    def __init__(self, transport: asyncio.Transport | None, other: _Carrying | None = None) -> None:
        self._transport, self._other = transport, other

    def begin(self, far: Any) -> None:
        """From here on the client's bytes go to ``far``, and back."""
        assert self._transport is not None
        self._other = far.get_protocol()
        self._transport.set_protocol(self)
        self._transport.resume_reading()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.write(data)

    def pause_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.resume_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._other is not None and self._other._transport is not None:
            self._other._transport.close()


__all__ = ["Arrival", "HandingProtocol", "arrive", "leave", "passable"]
