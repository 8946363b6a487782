"""``cloudflare:sockets``: TCP connections, as a worker has them.

https://developers.cloudflare.com/workers/runtime-apis/tcp-sockets/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from runtime.isolate.gates import until_kept
from runtime.isolate.remote import HandleStream, current_event, lent
from runtime.values import JsDict, JsException
from runtime.web import ReadableStream, to_bytes
from runtime.web.globals.piping import WritableStream
from runtime.web.scope import current_ctx
from runtime.web.tee import Ends
from runtime.wire import RemoteError

_TRANSPORTS = ("off", "on", "starttls")
_open: set[Socket] = set()  # whatever a script forgets of them, they are closed with the event


def connect(address: object, options: Mapping[str, Any] | None = None, **more: object) -> Socket:
    """``connect("example.com:443", {"secureTransport": "on"})``: a connection that is being made. ``address`` may be
    ``{"hostname": ..., "port": ...}``. ``options``: ``secureTransport`` ("off", "on" or "starttls"), ``allowHalfOpen``.
    Raises JsException (a TypeError) for what is no address or option."""
    given = {**(options or {}), **more}
    transport = given.get("secureTransport") or "off"
    if transport not in _TRANSPORTS:
        _refuse(f"Unsupported value in secureTransport socket option: {transport}")
    host, port = _parts(address)
    return Socket(host, port, str(transport), bool(given.get("allowHalfOpen")))


class Socket:
    """``readable`` and ``writable`` are streams; ``await opened`` gives ``{remoteAddress, localAddress}``, ``await
    closed`` ends with the connection. Both raise JsException where it fails. What is written waits until it is open.
    It is closed with the event that made it, its ``waitUntil`` tasks included, or the object."""

    def __init__(self, host: str, port: int, transport: str, half_open: bool, over: Socket | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._host, self._port, self._half_open = host, port, half_open
        self.secureTransport, self.upgraded = transport, False
        self._ends = Ends()
        self.closed = self._ends.future
        _open.add(self)
        self.closed.add_done_callback(lambda closed: _open.discard(self))
        self._number, self._incoming = 0, list[HandleStream]()
        self.opened: asyncio.Task[JsDict] = loop.create_task(self._open() if over is None else self._upgrade(over))
        self.opened.add_done_callback(self._tried)
        self.readable = ReadableStream(self._chunks())
        self.writable = WritableStream(write=self._write, close=self._end, abort=self._abort)
        if (ctx := current_ctx.get(None)) is not None:
            ctx.holds(self)

    def release(self) -> None:
        """What it was made for is over."""
        self._leaving = asyncio.ensure_future(self._leave())

    async def close(self) -> None:
        """At once, in both directions."""
        if not self.closed.done():
            self.opened.cancel()
            self._ends.tell()
            if self._number:
                await self._call("close")

    def startTls(self, options: Mapping[str, Any] | None = None, **more: Any) -> Socket:
        """The same connection with TLS from now on, as a new socket; this one is over. ``expectedServerHostname``: the
        name on its certificate, if it is not the one connected to. Raises JsException (a TypeError)."""
        if self.secureTransport != "starttls":
            _refuse("The `secureTransport` socket option must be set to 'starttls' for startTls to be used.")
        if self.upgraded or self.closed.done():
            _refuse("startTls can only be called once, on a socket that is not closed.")
        self.upgraded = True
        name = {**(options or {}), **more}.get("expectedServerHostname") or self._host
        return Socket(str(name), self._port, "on", self._half_open, over=self)

    async def _open(self) -> JsDict:
        sent = (self._host, self._port, self.secureTransport == "on")
        number, stream, remote, local = await self._ask("connect", current_event.get(), *sent)
        return self._begun(number, stream, JsDict(remoteAddress=remote, localAddress=local))

    async def _upgrade(self, over: Socket) -> JsDict:
        about = await over.opened
        number, over._number = over._number, 0
        over._ends.tell()
        return self._begun(number, await self._ask("tcp", number, "tls", self._host), about)

    def _begun(self, number: int, stream: int, about: JsDict) -> JsDict:
        assert lent.channel is not None
        self._number = number
        self._incoming.append(HandleStream(lent.channel.read(stream)))
        return about

    async def _chunks(self) -> AsyncIterator[bytes]:
        await asyncio.shield(self.opened)
        try:
            async for chunk in self._incoming[0]:
                yield chunk
        except ConnectionError as error:
            self._ends.tell(JsException(str(error)))
            raise JsException(str(error)) from None
        if not self._half_open and not self.upgraded:
            await self.close()

    async def _write(self, chunk: object) -> None:
        data = to_bytes(chunk)
        await asyncio.shield(self.opened)
        if data:
            await self._call("write", data)

    async def _end(self) -> None:
        await asyncio.shield(self.opened)
        if self._number:
            await self._call("end")

    async def _abort(self, reason: object = None) -> None:
        await self.close()

    async def _call(self, method: str, *args: object) -> object:
        if not self._number:
            _refuse("This socket has been closed.")
        return await self._ask("tcp", self._number, method, *args)

    async def _ask(self, operation: str, *args: object) -> Any:
        if lent.channel is None:
            raise RuntimeError("connect() can be called only while a worker serves an event")
        await until_kept()
        try:
            return await lent.channel.call(operation, *args)
        except RemoteError as error:
            raise JsException(error.message, error.name) from None

    async def _leave(self) -> None:
        with suppress(JsException, ConnectionError):  # it is gone already, or all of the process is
            await self.close()

    def _tried(self, opened: asyncio.Task[JsDict]) -> None:
        if not opened.cancelled() and (error := opened.exception()) is not None:
            self._ends.tell(error)


def _parts(address: object) -> tuple[str, int]:
    if isinstance(address, Mapping):
        host, port = address.get("hostname"), address.get("port")
    else:
        host, _, port = str(address).rpartition(":")
    if not host or not str(port).isdigit() or not 0 < int(str(port)) < 65536:
        _refuse(f"Specified address is missing port or host, or could not be parsed: {address}")
    return str(host).removeprefix("[").removesuffix("]"), int(str(port))


def _refuse(message: str) -> NoReturn:
    raise JsException(message, "TypeError")


__all__ = ["Socket", "connect"]
