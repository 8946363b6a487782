"""What a child process prints, line by line, with others' turns in between: one that prints faster than it is read
waits, for its pipe is full."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import cast

_MAX_LINE_BYTES = 64 * 1024
_SLICE_S = 0.001  # of lines, before the loop turns


class _Lines(asyncio.Protocol):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, b""
        self._waiting: Iterator[bytes] = iter(())
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.ReadTransport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        self._waiting = iter(lines)
        self._tell_some()

    def eof_received(self) -> None:
        if self._rest:
            self._tell(self._rest.decode("utf-8", "replace"))
            self._rest = b""

    def _tell_some(self) -> None:
        """Of the lines that wait; nothing more is read until they are told."""
        until = perf_counter() + _SLICE_S
        for line in self._waiting:
            self._tell(line.decode("utf-8", "replace"))
            if perf_counter() > until:
                self._paused = True
                self._transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._tell_some)
                return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()


async def listen(tell: Callable[[str], None]) -> int:
    """A descriptor for a child to write to; each line it writes is told. The caller closes it after the fork."""
    reading, writing = os.pipe()
    await asyncio.get_running_loop().connect_read_pipe(lambda: _Lines(tell), os.fdopen(reading, "rb", 0))
    return writing
