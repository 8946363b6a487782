"""What a child process prints, line by line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

_MAX_LINE_BYTES = 64 * 1024


class _Lines(asyncio.Protocol):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._rest = tell, b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._tell(line.decode("utf-8", "replace"))
        if len(self._rest) > _MAX_LINE_BYTES:
            self.eof_received()

    def eof_received(self) -> None:
        if self._rest:
            self._tell(self._rest.decode("utf-8", "replace"))
            self._rest = b""


async def listen(tell: Callable[[str], None]) -> int:
    """A descriptor for a child to write to; each line it writes is told. The caller closes it after the fork."""
    reading, writing = os.pipe()
    await asyncio.get_running_loop().connect_read_pipe(lambda: _Lines(tell), os.fdopen(reading, "rb", 0))
    return writing
