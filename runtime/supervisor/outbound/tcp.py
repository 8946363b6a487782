"""TCP connections of workers: ``connect`` of ``cloudflare:sockets``, within the rules that outbound fetches have.

What comes is a stream that the worker reads; what it writes are calls, each of which ends when the peer has taken it.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache
from itertools import count

from bindings.base import CallError
from runtime.supervisor.outbound import Outbound
from runtime.supervisor.outbound.errors import IN_TIME, text_of
from runtime.supervisor.sockets.quota import Quota
from runtime.wire import Channel

_CHUNK_BYTES = 64 * 1024
_TLS_S = 10.0  # for a handshake
_WRITE_S = 300.0  # in which the peer takes what is written
_FAILED = "proxy request failed, cannot connect to the specified address"


class TcpConnections:
    """Those of one isolate, by number."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._numbers, self._open = count(1), dict[int, _Connection]()
        self._operations: dict[str, Callable[..., Awaitable[object]]] = {
            "write": self._write, "end": self._end, "tls": self._tls, "close": self._close,
        }  # fmt: skip

    async def open(self, channel: Channel, quota: Quota, host: str, port: int, tls: bool) -> list[object]:
        """[its number, the stream of what comes, the peer's address, ours]. Raises CallError, ScriptError beyond the
        quota."""
        quota.enter()
        try:
            reader, writer = await self._outbound.connect(host, port)
        except (OSError, UnicodeError) as error:
            quota.open -= 1
            raise CallError("Error", f"{_FAILED}: {host}:{port}: {_reason(error)}") from None
        number = next(self._numbers)

        def ended() -> None:
            quota.open -= 1
            self._open.pop(number, None)

        self._open[number] = connection = _Connection(reader, writer, ended)
        if tls:
            await connection.start_tls(host)
        return [number, channel.offer(connection.read()), *map(_address, ("peername", "sockname"), [writer] * 2)]

    async def call(self, channel: Channel, number: object, operation: str, *args: object) -> object:
        """Raises CallError: it is closed, or the peer has gone."""
        if (connection := self._open.get(number)) is None:  # type: ignore[call-overload]
            raise CallError("TypeError", "the socket is closed")
        return await self._operations[operation](connection, channel, *args)

    def close(self) -> None:
        """The isolate is gone."""
        for connection in list(self._open.values()):
            connection.close()

    async def _write(self, connection: _Connection, channel: Channel, data: bytes) -> None:
        await connection.write(data)

    async def _end(self, connection: _Connection, channel: Channel) -> None:
        await connection.end()

    async def _tls(self, connection: _Connection, channel: Channel, host: str) -> int:
        """The number of the stream of what comes from now on."""
        await connection.start_tls(host)
        return channel.offer(connection.read())

    async def _close(self, connection: _Connection, channel: Channel) -> None:
        connection.close()


class _Connection:
    def __init__(self, reader: StreamReader, writer: StreamWriter, ended: Callable[[], None]) -> None:
        self._reader, self._writer, self._ended = reader, writer, ended
        self._reading: _Reading | None = None

    def read(self) -> _Reading:
        """What comes, until TLS begins."""
        self._reading = reading = _Reading(self._reader, self._left)
        return reading

    async def write(self, data: bytes) -> None:
        """Raises CallError."""
        try:
            self._writer.write(data)
            async with asyncio.timeout(_WRITE_S):
                await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise CallError("Error", f"Network connection lost: {_reason(error)}") from None

    async def end(self) -> None:
        with suppress(OSError, RuntimeError, NotImplementedError):  # TLS has no half of a connection
            self._writer.write_eof()

    async def start_tls(self, host: str) -> None:
        """Raises CallError; it is closed then."""
        if self._reading is not None:
            await self._reading.stop()
        try:
            async with asyncio.timeout(_TLS_S):
                await self._writer.start_tls(_tls(), server_hostname=host)
        except (OSError, ssl.SSLError, RuntimeError) as error:
            self.close()
            raise CallError("Error", f"TLS Handshake Failed: {_reason(error)}") from None

    def close(self) -> None:
        ended, self._ended = self._ended, lambda: None
        self._writer.close()
        ended()

    def _left(self, reading: _Reading) -> None:
        """Nobody reads any more."""
        if reading is self._reading:
            self.close()


class _Reading:
    """Chunks as they come. ``stop`` ends it, and loses nothing."""

    def __init__(self, reader: StreamReader, left: Callable[[_Reading], None]) -> None:
        self._reader, self._left, self._stopped = reader, left, False
        self._task: asyncio.Future[bytes] | None = None

    def __aiter__(self) -> _Reading:
        return self

    async def __anext__(self) -> bytes:
        if self._stopped:
            raise StopAsyncIteration
        self._task = asyncio.ensure_future(self._reader.read(_CHUNK_BYTES))
        try:
            chunk = await self._task
        except asyncio.CancelledError:
            if self._stopped:
                raise StopAsyncIteration from None
            raise
        except OSError as error:
            raise ConnectionError(f"Network connection lost: {_reason(error)}") from None
        if not chunk:
            self._stopped = True  # the other direction may go on
            raise StopAsyncIteration
        return chunk

    async def stop(self) -> None:
        self._stopped = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    async def aclose(self) -> None:
        if not self._stopped:
            self._left(self)


@cache
def _tls() -> ssl.SSLContext:
    """Made once: authorities take tens of milliseconds to read."""
    return ssl.create_default_context()


def _address(which: str, writer: StreamWriter) -> str:
    host, port, *_ = writer.get_extra_info(which)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: BaseException) -> str:
    return IN_TIME if isinstance(error, TimeoutError) else text_of(error)


__all__ = ["TcpConnections"]
