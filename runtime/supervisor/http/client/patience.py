"""How long a client may take: to send a head, to send a body, and to take its answer.

A client that sends half a head, or a byte of a body in a minute, or that takes nothing of its answer, keeps a
connection and what is behind it. Each wait for a client has an end here; one for the worker, or for a model, has not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from runtime.supervisor.deadline import Deadline

_MAX_INTERVAL_S = 1.0  # seconds between two looks at a body


class Patience(NamedTuple):
    """Seconds; 0: without end."""

    head_s: float = 20  # from a connection, or a head's first byte, to the head's last
    body_s: float = 20  # how far a body may fall behind ``body_rate``
    body_rate: int = 500  # bytes per second; 0: any byte makes up for all of a silence
    answer_s: float = 60  # in which a client takes nothing of what is ready for it


DEFAULT_PATIENCE = Patience()


class ClientClock:
    """The clocks of one connection. ``late()``: its head has not come in time. ``rested()``: it has asked for nothing
    for ``rest_s`` seconds. ``abort()``: it takes no answer."""

    __slots__ = ("_abort", "_answer", "_body", "_head", "_late", "_patience", "_rest", "_rest_s", "_rested")

    def __init__(
        self,
        patience: Patience,
        rest_s: float,
        late: Callable[[], None],
        rested: Callable[[], None],
        abort: Callable[[], None],
    ) -> None:
        self._patience, self._late, self._abort = patience, late, abort
        self._rest_s, self._rested = rest_s, rested
        self._rest: Deadline | None = None
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None
        self._body: BodyClock | None = None

    def head_awaited(self) -> None:
        if self._head is None and self._patience.head_s:
            self._head = asyncio.get_running_loop().call_later(self._patience.head_s, self._head_late)

    def head_came(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def body_awaited(self, waiting: Callable[[], bool], late: Callable[[], None]) -> None:
        if self._body is None and self._patience.body_s:
            self._body = BodyClock(self._patience, waiting, late)

    def body_arrived(self, size: int) -> None:
        if self._body is not None:
            self._body.arrived(size)

    def body_came(self) -> None:
        if self._body is not None:
            self._body.stop()
            self._body = None

    def rests(self) -> None:
        """Nothing is asked for."""
        if self._rest is None:
            self._rest = Deadline(self._rest_s, self._rested)
        else:
            self._rest.begin(self._rest_s)

    def busy(self) -> None:
        if self._rest is not None:
            self._rest.until = 0.0

    def answer_waits(self) -> None:
        if self._answer is None and self._patience.answer_s:
            self._answer = asyncio.get_running_loop().call_later(self._patience.answer_s, self._abort)

    def answer_taken(self) -> None:
        if self._answer is not None:
            self._answer.cancel()
            self._answer = None

    def stop(self) -> None:
        self.head_came()
        self.body_came()
        self.answer_taken()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def over(self) -> None:
        """The connection is gone: it holds this, and this holds it no more."""
        self.stop()
        self._late = self._rested = self._abort = _nothing

    def _head_late(self) -> None:
        self._head = None
        self._late()


def _nothing() -> None:
    """What is told of a connection that is gone."""


class BodyClock:
    """Ends a body that comes too slowly. ``waiting()``: it is the client that is waited for. ``late()`` is called once.

    A client has a credit of seconds. A second of waiting takes one, a byte gives back its share: more than it has at
    the beginning is never saved up.
    """

    def __init__(self, patience: Patience, waiting: Callable[[], bool], late: Callable[[], None]) -> None:
        self._patience, self._waiting, self._late = patience, waiting, late
        self._credit = patience.body_s
        self._interval = min(_MAX_INTERVAL_S, patience.body_s / 4)
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def arrived(self, size: int) -> None:
        rate, most = self._patience.body_rate, self._patience.body_s
        self._credit = min(most, self._credit + size / rate) if rate else most

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        if self._waiting():
            self._credit -= self._interval
        if self._credit <= 0:
            return self._late()
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)


__all__ = ["DEFAULT_PATIENCE", "ClientClock", "Patience"]
