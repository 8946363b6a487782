"""The process that began the fronts, as each of them reaches it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from runtime.host.links.descriptors import Descriptors

SEAT = "PILOT_FRONT"  # the environment's name of it
READY = b"ready"

Link = Callable[[int, socket.socket, socket.socket], Coroutine[Any, Any, None]]


class Seat(msgspec.Struct, frozen=True):
    """A front's place: its number, from 1; how many there are; the port that they share; the descriptor that leads to
    the keeper."""

    number: int
    of: int
    port: int
    descriptor: int

    @classmethod
    def taken(cls) -> Seat | None:
        """This process's, which its children do not inherit. None: it is no front of several."""
        told = os.environ.pop(SEAT, "")
        return cls(*map(int, told.split(","))) if told else None

    def told(self) -> str:
        return f"{self.number},{self.of},{self.port},{self.descriptor}"


class Keeper:
    """``link(number, sock, connections)``: sockets to the front of that number, which has begun, or to the first.
    ``gone()``: the keeper is, and a front without one ends."""

    def __init__(self, seat: Seat, link: Link, gone: Callable[[], None]) -> None:
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()
        sock = socket.socket(fileno=seat.descriptor)
        sock.set_inheritable(False)
        self._sock = sock
        self._messages = Descriptors(sock, self._take, gone)

    def ready(self) -> None:
        """This front serves."""
        self._sock.send(READY)

    def close(self) -> None:
        self._messages.close()

    def _take(self, message: bytes, descriptors: Sequence[int]) -> None:
        sock, connections = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        task = asyncio.create_task(self._link(int(message), sock, connections))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


__all__ = ["READY", "SEAT", "Keeper", "Seat"]
