"""Server-sent events (WHATWG HTML, 9.2) as they come over the network, from any server that says them at all.

Lenient where servers are: the blank line after the last event may be missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NamedTuple, Protocol

BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """``name`` is that of the ``event:`` line; ``data`` has one item for each ``data:`` line."""

    name: bytes
    data: list[bytes]


class Content(Protocol):
    """``aiohttp.StreamReader``."""

    async def readany(self) -> bytes: ...


class PeekableBody:
    """A response's bytes as they come, whose beginning can be looked at.

    ``timeout_s``: seconds to wait for more of them; None: the session's.
    """

    timeout_s: float | None = None

    def __init__(self, content: Content) -> None:
        self._content, self._head = content, b""

    async def begin(self) -> bytes:
        """The first bytes that are more than white space, without the BOM; they are read again."""
        while (not self._head.strip() or BOM.startswith(self._head)) and (more := await self._content.readany()):
            self._head = (self._head + more).removeprefix(BOM)
        return self._head.lstrip()

    async def read(self) -> bytes:
        """More bytes; none at the end. Raises TimeoutError when they do not come in time."""
        if self._head:
            head, self._head = self._head, b""
            return head
        if self.timeout_s is None:
            return await self._content.readany()
        async with asyncio.timeout(self.timeout_s):
            return await self._content.readany()

    async def rest(self, limit: int) -> bytes:
        """All of it, as far as ``limit``."""
        parts, size = [await self.read()], 0
        while parts[-1] and (size := size + len(parts[-1])) < limit:
            parts.append(await self.read())
        return b"".join(parts)


class EventDecoder:
    """From bytes, cut anywhere, to the events that have data."""

    def __init__(self) -> None:
        self._name, self._data = b"", list[bytes]()
        self._begun, self._returned = b"", False

    def feed(self, piece: bytes) -> Iterator[ServerSentEvent]:
        """The events that ``piece`` ends."""
        for line in self._lines(piece):
            field, _, value = line.partition(b":")
            if field == b"data":
                self._data.append(value[1:] if value[:1] == b" " else value)
            elif field == b"event":
                self._name = value.strip()
            elif not line:
                yield from self._event()

    def end(self) -> Iterator[ServerSentEvent]:
        """The event that the server did not end."""
        yield from self.feed(b"\n\n")

    def _event(self) -> Iterator[ServerSentEvent]:
        event = ServerSentEvent(self._name, self._data)
        self._name, self._data = b"", []
        if event.data:
            yield event

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """Without their ends: LF, CR LF or CR. A CR that ends a piece ends its line; an LF after it is of that end."""
        if self._returned and piece[:1] == b"\n":
            piece = piece[1:]
        self._returned = piece.endswith(b"\r")
        lines = (self._begun + piece).splitlines(keepends=True)
        self._begun = b"" if not lines or lines[-1][-1:] in b"\r\n" else lines.pop()
        return (line.rstrip(b"\r\n") for line in lines)


__all__ = ["Content", "EventDecoder", "PeekableBody", "ServerSentEvent"]
