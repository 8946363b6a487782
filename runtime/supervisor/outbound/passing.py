"""An answer's chunks on their way past the task that reads them, from the peer's socket to a client's.

aiohttp wakes a task for each chunk and begins a timer anew, which is most of what a chunk costs. It has no other way
to be told of chunks; what is used of its internals here is in no documentation of it. Where a name of them has gone,
chunks take the way through the task: tests/supervisor/outbound/test_passing.py says so.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import StreamReader

from runtime.supervisor.deadline import Deadline

Take = Callable[[bytes], bool]


class Connection(ResponseHandler):
    """aiohttp's. One timer serves many chunks."""

    sink: Take | None = None  # as of ``runtime.wire.RemoteStream``; of the answer that is being read
    _read_timeout_handle: Deadline | None  # type: ignore[assignment]  # what is done with it here is to cancel it

    def _reschedule_timeout(self) -> None:
        if not self._read_timeout:
            return
        if self._read_timeout_handle is None:
            self._read_timeout_handle = Deadline(self._read_timeout, self._on_read_timeout)
        else:
            self._read_timeout_handle.until = self._loop.time() + self._read_timeout

    def _on_read_timeout(self) -> None:
        self._read_timeout_handle = None
        super()._on_read_timeout()


class _Reader(StreamReader):
    """Of a body, instead of aiohttp's: what comes while its task waits with nothing left to read is for ``sink``."""

    __slots__ = ()  # aiohttp's object becomes one of these

    def feed_data(self, data: bytes, size: int = 0) -> bool:
        sink = cast(Connection, self._protocol).sink
        if sink is None or self._waiter is None or self._buffer or not sink(data):
            return super().feed_data(data)
        self.total_bytes += len(data)
        self._cursor += len(data)
        return False

    def end_http_chunk_receiving(self) -> None:
        """What was taken needs no mark of where it ends, and nobody is woken for it."""
        if self._buffer:
            super().end_http_chunk_receiving()

    def feed_eof(self) -> None:
        """The connection may be another answer's from here on."""
        cast(Connection, self._protocol).sink = None
        super().feed_eof()


def connector(loop: AbstractEventLoop, **options: Any) -> aiohttp.TCPConnector:
    """One whose answers may pass."""
    made = aiohttp.TCPConnector(**options)
    made._factory = cast(Any, partial(Connection, loop=loop))
    return made


def attach(response: aiohttp.ClientResponse, sink: Take | None) -> None:
    """From now on; None: no more."""
    content = response.content
    connection = getattr(content, "_protocol", None)
    if not isinstance(connection, Connection) or content.is_eof():
        return
    if type(content) is StreamReader and sink is not None:
        content.__class__ = _Reader
    if type(content) is _Reader:
        connection.sink = sink


__all__ = ["Connection", "attach", "connector"]
