"""What uvicorn keeps for each connection and each request, without the queues that hardly any of them uses: an empty
``deque`` has 0.6 KB, and a stream that waits had three of them."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools

_FULL_BYTES = 64 * 1024  # of a body that nobody has read, beyond which its client waits


class Flag:
    """As ``asyncio.Event``."""

    __slots__ = ("_set", "_waiters")

    def __init__(self, is_set: bool = False) -> None:
        self._set = is_set
        self._waiters: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def clear(self) -> None:
        self._set = False

    async def wait(self) -> bool:
        if not self._set:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter  # cancelled, it is done, and goes with the next ``set``
        return True


class Line(list[object]):
    """Of requests that came before their turn: few, and far between."""

    __slots__ = ()

    def appendleft(self, request: object) -> None:
        self.insert(0, request)


class Flow:
    """As uvicorn's ``FlowControl``."""

    __slots__ = ("_transport", "_writable", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._writable = transport, Flag(True)
        self.read_paused = self.write_paused = False

    async def drain(self) -> None:
        await self._writable.wait()

    def pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._writable.set()


def prepare(connection: Any, config: Any, server_state: Any) -> None:
    """As uvicorn does it, for what is used here: its loggers alone would take as long as all of this."""
    connection.app, connection.timeout_keep_alive = config.loaded_app, config.timeout_keep_alive
    connection.loop, connection.server_state = asyncio.get_running_loop(), server_state
    connection.connections, connection.tasks = server_state.connections, server_state.tasks
    connection.parser = parser = httptools.HttpRequestParser(connection)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    connection.transport = connection.flow = connection.server = connection.client = connection.scheme = None
    connection.pipeline, connection.scope, connection.headers, connection.cycle = Line(), None, None, None
    connection.url, connection.expect_100_continue = b"", False


def connect(connection: Any, transport: asyncio.Transport) -> None:
    connection.connections.add(connection)
    connection.transport, connection.flow = transport, Flow(transport)
    connection.server, connection.client = _address(transport, "sockname"), _address(transport, "peername")
    connection.scheme = "https" if transport.get_extra_info("sslcontext") else "http"


def disconnect(connection: Any) -> None:
    connection.connections.discard(connection)
    if (cycle := connection.cycle) is not None:
        cycle.disconnected = not cycle.response_complete
        cycle.message_event.set()
    connection.flow.resume_writing()
    connection.transport.close()
    connection.parser = None


def is_whole(cycle: Any) -> bool:
    """Every byte of its length has been sent: its client may go, whatever the worker has still to do."""
    return bool(cycle.response_started and cycle.chunked_encoding is False and cycle.expected_content_length == 0)


def collect(cycle: Any, part: bytes) -> None:
    """Of its request's body. What comes in one piece is copied nowhere, what comes in many grows in place."""
    if not cycle.body:
        cycle.body = part
    else:
        if isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body)
        cycle.body += part
    cycle.message_event.set()


def is_full(cycle: Any) -> bool:
    """Whether as much of its request's body has come as is kept for who may read it."""
    return not cycle.response_complete and len(cycle.body) > _FULL_BYTES


def _address(transport: asyncio.Transport, which: str) -> tuple[str, int] | None:
    """None: it is a Unix socket's."""
    address = transport.get_extra_info(which)
    return (address[0], address[1]) if isinstance(address, tuple) else None


def nothing() -> None:
    """What a cycle tells of its end, once that was told: what it told holds its connection, which holds it."""


__all__ = ["Flag", "collect", "connect", "disconnect", "is_full", "is_whole", "nothing", "prepare"]
