"""The sockets that one isolate has an end of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runtime.errors import ScriptError
from runtime.supervisor.calls.at_work import AtWork, SocketActivity
from runtime.supervisor.http.asgi import Headers
from runtime.supervisor.http.exchange import Exchange, numbers
from runtime.supervisor.http.heads import head
from runtime.supervisor.limits import Limits
from runtime.supervisor.sockets.ends import ABNORMAL, LEFT, RESTARTS, End, join
from runtime.supervisor.sockets.held import CONTROL, Deliver, HeldTable, Key, ObjectsControl
from runtime.supervisor.sockets.quota import Quota, Quotas, SocketLimits
from runtime.supervisor.sockets.worker_end import WorkerEnd
from runtime.wire import Channel

_TOLD_AT_ONCE = 500  # held sockets: with their attachments they are some megabytes
_MAX_LENT = 1_000  # sockets to other servers that a worker has not accepted


class ProcessSockets:
    """By what the channel knows them: an answer's socket by the number of its request, one that was lent to the worker
    by a number of its own. ``deflates``: permessage-deflate is spoken."""

    def __init__(self, channel: Channel, at_work: AtWork, quota: Quota, deflates: bool) -> None:
        self._channel, self._at_work, self.quota, self.deflates = channel, at_work, quota, deflates
        self._ends: dict[int, WorkerEnd] = {}
        self._worker, self._table = "", None  # type: str, HeldTable | None
        self.empty = asyncio.Event()
        self.empty.set()

    def opened(self, number: int, name: str) -> WorkerEnd:
        """The worker's end of the socket that it answers the request of this number with."""
        activity = SocketActivity(number, name)

        def heard() -> None:
            activity.subrequests = 0
            self._at_work.begun += 1

        def ended(end: WorkerEnd) -> None:
            self._at_work.end(activity)
            self._let_go(end)

        self._at_work.begin(activity)
        return self._keep(WorkerEnd(self._channel, number, heard, ended))

    def given(self, number: int, event: int, hold: object) -> End:
        """What the worker has answered an event with that is no request. ``hold``: who hibernates behind it. Raises
        ScriptError."""
        if number:
            return self.taken_back(number)
        if hold is None:
            return self.opened(event, "a socket of an object")
        match hold:
            case [str(cls), str(id), None | str() as label, *told] if self._table is not None:
                held = self._table.keep(Key(self._worker, cls, id), label, event, told)
                held.known_to(self._channel)
                return held
        raise ScriptError("the worker's process sent a socket that is none")

    def keep_for(self, worker: str, table: HeldTable) -> None:
        """This process has a worker's objects, whose sockets hibernate."""
        self._worker, self._table = worker, table
        self._channel.sockets[CONTROL] = ObjectsControl(worker, table)

    def held(self, cls: object, id: object, after: object) -> list[Any]:
        """Those of one object, for its process: the next few beyond that number. Raises ValueError."""
        if self._table is None or not (isinstance(cls, str) and isinstance(id, str) and isinstance(after, int)):
            raise ValueError("no objects live here")
        found = self._table.of(Key(self._worker, cls, id))
        numbers = sorted(number for number in found.sockets if number > after)[:_TOLD_AT_ONCE]
        for number in numbers:
            found.sockets[number].known_to(self._channel)
        return [[found.sockets[number].told() for number in numbers], found.pair, found.timeout_ms]

    def lend(self, socket: End) -> int:
        """A socket to another server, until the worker accepts it or answers with it."""
        if len(self._ends) >= _MAX_LENT and sum(end.lent is not None for end in self._ends.values()) >= _MAX_LENT:
            raise ScriptError(f"{_MAX_LENT} WebSockets were fetched and not accepted")
        return self._keep(WorkerEnd(self._channel, next(numbers), lambda: None, self._let_go, socket)).number

    def taken_back(self, number: int) -> End:
        """Raises ScriptError."""
        end = self._ends.get(number)
        socket = end.take_back() if end is not None else None
        if socket is None:
            raise ScriptError("TypeError: Can't return WebSocket that was already used in a response.")
        return socket

    def close(self, reason: str) -> None:
        """Both ends of each are told; those of the worker may deal with it."""
        for end in list(self._ends.values()):
            if (other := end.other) is not None:
                end.lose(RESTARTS, reason)
                other.lose(RESTARTS, reason)

    def _keep(self, end: WorkerEnd) -> WorkerEnd:
        self._ends[end.number] = end
        self.empty.clear()
        return end

    def _let_go(self, end: WorkerEnd) -> None:
        self._ends.pop(end.number, None)
        if not self._ends:
            self.empty.set()


class SocketTables:
    """What is known of sockets beyond one process. ``deliver``: to an object's; ``tell(worker, why)``: a limit was
    reached, or an event could not be delivered."""

    def __init__(self, deliver: Deliver, tell: Callable[[str, str], None]) -> None:
        self._quotas, self._held = Quotas(tell), HeldTable(deliver, tell)

    def of(
        self, worker: str, channel: Channel, at_work: AtWork, limits: Limits | None, *, keeps: bool, deflates: bool
    ) -> ProcessSockets:
        """Those of a new process. ``keeps``: it has the worker's objects."""
        sockets = ProcessSockets(channel, at_work, self._quotas.of(worker, _socket_limits(limits)), deflates)
        if keeps:
            sockets.keep_for(worker, self._held)
        return sockets


def _socket_limits(limits: Limits | None) -> SocketLimits:
    if limits is None:
        return SocketLimits()
    return SocketLimits(limits.sockets, limits.socket_queue_mb << 20, limits.sockets_queue_mb << 20)


def open_socket(exchange: Exchange, headers: Headers, sockets: ProcessSockets, number: int) -> None:
    """Answer with a socket. ``number``: of one that the worker was lent; 0: its own, and it has the other end. Raises
    ScriptError, RequestError, ConnectionError."""
    from runtime.supervisor.sockets import handshake  # most workers have none
    from runtime.supervisor.sockets.connection import Connection

    scope, quota = exchange.scope, sockets.quota
    other = sockets.taken_back(number) if number else sockets.opened(exchange.number, f"the socket {exchange.name}")
    try:
        sent = head(exchange.method, 200, headers, b"")
        sent, deflate = handshake.accepted(
            exchange.method, scope["http_version"], scope["headers"], sent, sockets.deflates
        )
        quota.enter()
    except BaseException:
        other.lose(ABNORMAL, LEFT)
        raise
    try:
        taken = exchange.upgrade(sent)
    except BaseException:
        quota.open -= 1
        other.lose(ABNORMAL, LEFT)
        raise

    def ended(connection: Connection) -> None:
        quota.open -= 1
        taken.connections.discard(connection)

    connection = Connection(taken.transport, quota, taken.patience, ended, deflate=deflate)
    taken.connections.add(connection)
    join(connection, other)


__all__ = ["ProcessSockets", "SocketTables", "open_socket"]
