"""A part of a file as a body: what is in the page cache is read at once, what the disk has to bring in a thread."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from runtime.errors import UserError

_CHUNK_BYTES = 256 * 1024  # of one read
_IF_CACHED = getattr(os, "RWF_NOWAIT", None)  # Linux: do not wait for the disk


class FileBody:
    """``length`` bytes from ``offset`` on of the file behind ``descriptor``, which is its own to close.

    Raises OSError while it is read, and UserError where the file has become shorter.
    """

    __slots__ = ("_end", "descriptor", "length", "offset")

    def __init__(self, descriptor: int, length: int, offset: int = 0) -> None:
        self.descriptor, self.length, self.offset = descriptor, length, offset
        self._end = offset + length

    @classmethod
    def of(cls, path: Path | str, length: int) -> FileBody:
        """The first ``length`` bytes of a file. Raises OSError."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC), length)

    def resize(self, length: int) -> None:
        """It has turned out to have this many bytes."""
        self.length, self._end = length, self.offset + length

    @property
    def left(self) -> int:
        """Bytes that have not been read yet."""
        return self._end - self.offset

    async def cached(self, wanted: int) -> None:
        """Have the next so many bytes brought into memory, as far as that can be told."""
        if not self._is_cached(wanted):
            await asyncio.to_thread(os.pread, self.descriptor, wanted, self.offset)

    def __aiter__(self) -> FileBody:
        return self

    async def __anext__(self) -> bytes:
        wanted = min(_CHUNK_BYTES, self.left)
        if wanted <= 0:
            await self.aclose()
            raise StopAsyncIteration
        if self._is_cached(wanted):
            chunk = os.pread(self.descriptor, wanted, self.offset)
        else:
            chunk = await asyncio.to_thread(os.pread, self.descriptor, wanted, self.offset)
        if not chunk:
            raise shortened()
        self.offset += len(chunk)
        return chunk

    async def aclose(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _is_cached(self, wanted: int) -> bool:
        """Whether the next so many bytes are in memory, by the first and the last of them."""
        if _IF_CACHED is None:
            return False
        try:
            for at in (self.offset, self.offset + wanted - 1):
                os.preadv(self.descriptor, [bytearray(1)], at, _IF_CACHED)
        except OSError:  # EAGAIN; a file system that cannot say
            return False
        return True


def shortened() -> UserError:
    return UserError(
        "has become shorter meanwhile", where="a file that is sent", remedy="Ask again for it as it is now."
    )


__all__ = ["FileBody", "shortened"]
