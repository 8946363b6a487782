"""Hyperdrive on a host: the worker's driver connects to a Unix socket, and this answers there with the database.

A worker on a host opens no connections. To this socket it can connect, because ``runtime.supervisor.processes.asked``
has this binding answer; the supervisor connects to the one database that the configuration names, if it is at an
address that workers may reach, with TLS where that is wanted or had.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import quote

from bindings.base import CallError, Connect
from bindings.hyperdrive.configs import Configs, HyperdriveConfig, Sslmode
from runtime.errors import UserError

_CHUNK_BYTES = 64 * 1024
_HELLO_S = 10.0  # for a database to say whether it speaks TLS
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # of the frontend protocol of Postgres, as is an error's form below
_UNABLE_TO_CONNECT = "08001"
_AUTHENTICATION, _NEGOTIATION = b"R", b"v"  # kinds of message, before a session begins
_SASL, _BOUND_TO_TLS = struct.pack("!i", 10), b"SCRAM-SHA-256-PLUS\0"
_GREETING_BYTES = 10_000  # more, no such message has


class DeployedHyperdrive:
    """The host's half. The configuration is looked up for each isolate, and for each connection."""

    client = "bindings.hyperdrive.worker:Hyperdrive"

    def __init__(self, name: str, id: str, configs: Configs) -> None:
        self.name, self._id, self._configs = name, id, configs
        self.socket_folder = f"/hyperdrive/{name}"

    @property
    def client_args(self) -> Mapping[str, Any]:
        """Raises UserError."""
        if (config := self._configs.find(self._id)) is None:
            what = f"the Hyperdrive configuration {self._id} is gone"
            remedy = "Make one, and deploy with its id:  wrangler hyperdrive create"
            raise UserError(what, where=f"env.{self.name}", remedy=remedy)
        origin = config.origin
        who = f"{quote(origin.user, safe='')}:{quote(origin.password, safe='')}"
        return {"url": f"{origin.scheme}://{who}@/{quote(origin.database, safe='')}?host={self.socket_folder}"}

    def describe(self) -> tuple[str, str]:
        return "Hyperdrive", self._id

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} has no {method}(): it has connectionString and its parts")

    async def answer(self, reader: StreamReader, writer: StreamWriter, connect: Connect) -> None:
        try:
            if (config := self._configs.find(self._id)) is None:
                raise OSError(f"the configuration {self._id} is gone")
            theirs = await _connected(config, connect)
        except (OSError, UserError) as error:
            text = f"Hyperdrive cannot reach the database of env.{self.name}: {_reason(error)}"
            await _leave(reader, writer, _error(text))
            return
        try:
            await _both_ways((reader, writer), theirs)
        finally:
            theirs[1].close()


async def _connected(config: HyperdriveConfig, connect: Connect) -> tuple[StreamReader, StreamWriter]:
    """Raises OSError."""
    reader, writer = await connect(config.origin.host, config.origin.port)
    try:
        async with asyncio.timeout(_HELLO_S):
            writer.write(_SSL_REQUEST)
            if await reader.read(1) == b"S":
                await writer.start_tls(_tls(config.sslmode), server_hostname=config.origin.host)
            elif config.sslmode is not None:
                raise OSError(f"it does not speak TLS, and sslmode is {config.sslmode}")
    except BaseException:
        writer.close()
        raise
    return reader, writer


@cache
def _tls(mode: Sslmode | None) -> ssl.SSLContext:
    """Made once: authorities take tens of milliseconds to read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full"
    if mode in (None, "require"):
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_default_certs()
    return context


async def _leave(reader: StreamReader, writer: StreamWriter, words: bytes) -> None:
    """What the other side has sent is read, for else it would not get to read the last words."""
    writer.write(words)
    writer.write_eof()
    async with asyncio.timeout(_HELLO_S):
        while await reader.read(_CHUNK_BYTES):
            pass


async def _both_ways(ours: tuple[StreamReader, StreamWriter], theirs: tuple[StreamReader, StreamWriter]) -> None:
    """Until either side ends it."""
    ways = [asyncio.create_task(_copy(ours[0], theirs[1])), asyncio.create_task(_answers(theirs[0], ours[1]))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _answers(reader: StreamReader, writer: StreamWriter) -> None:
    """What the database says. Of the ways to prove a password it offers, those bound to TLS are left out: the worker's
    driver sees no TLS, and libpq refuses to be offered them without."""
    with suppress(OSError, asyncio.IncompleteReadError):
        while (kind := await reader.readexactly(1)) in (_AUTHENTICATION, _NEGOTIATION):
            size = int.from_bytes(await reader.readexactly(4), "big")
            body = await reader.readexactly(min(max(0, size - 4), _GREETING_BYTES))
            if kind == _AUTHENTICATION and body.startswith(_SASL):
                body = body.replace(_BOUND_TO_TLS, b"")
            writer.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
            if kind == _AUTHENTICATION:
                break
        else:
            writer.write(kind)
        await _copy(reader, writer)


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()


def _error(text: str) -> bytes:
    """As Postgres says it, so that the driver tells the worker."""
    fields = {"S": "FATAL", "V": "FATAL", "C": _UNABLE_TO_CONNECT, "M": text}
    body = b"".join(name.encode() + value.encode() + b"\0" for name, value in fields.items()) + b"\0"
    return b"E" + struct.pack("!i", len(body) + 4) + body


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return getattr(error, "strerror", None) or str(error)


__all__ = ["DeployedHyperdrive"]
