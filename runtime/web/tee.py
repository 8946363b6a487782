"""Two readers of one stream, and those who wait for its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol


class Pullable(Protocol):
    """As much of a ``ReadableStream`` as reading needs."""

    async def pull(self) -> bytes: ...

    async def aclose(self) -> None: ...


def split(stream: Pullable, limit: int) -> tuple[AsyncIterator[bytes], AsyncIterator[bytes]]:
    """Two iterators over ``stream``, which they own. At most ``limit`` bytes wait for the slower one."""
    trunk = _Trunk(stream, limit)
    return trunk.branches[0], trunk.branches[1]


class _Trunk:
    """Reads the stream for both branches, in a task of its own: a reader that is cancelled while it waits
    must not cancel the read that the other one waits for too."""

    def __init__(self, stream: Pullable, limit: int) -> None:
        self.stream, self.limit = stream, limit
        self.branches = (_Branch(self), _Branch(self))
        self.end: Exception | None = None
        self.step: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Until something has been read, or the stream has ended."""
        if self.step is None:
            self.step = asyncio.create_task(self._read())
        await asyncio.shield(self.step)

    async def _read(self) -> None:
        try:
            chunk = await self.stream.pull()
        except Exception as error:
            self.end = error
        else:
            self._share(chunk)
        finally:
            self.step = None

    def _share(self, chunk: bytes) -> None:
        for branch in self.branches:
            if not branch.closed:
                branch.add(chunk)
                if branch.waiting > self.limit:
                    self.end = TypeError(f"tee: over {self.limit} bytes wait for a branch that is not read")

    async def close(self) -> None:
        """When both branches have gone, so does the source."""
        if not all(branch.closed for branch in self.branches):
            return
        if self.step is not None:
            self.step.cancel()
            await asyncio.wait([self.step])
        await self.stream.aclose()


class _Branch:
    def __init__(self, trunk: _Trunk) -> None:
        self.trunk, self.closed, self.waiting = trunk, False, 0
        self.chunks: deque[bytes] = deque()

    def add(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.waiting += len(chunk)

    def __aiter__(self) -> _Branch:
        return self

    async def __anext__(self) -> bytes:
        while not self.chunks:
            if self.closed:
                raise StopAsyncIteration
            if self.trunk.end is not None:
                raise self.trunk.end
            await self.trunk.wait()
        chunk = self.chunks.popleft()
        self.waiting -= len(chunk)
        return chunk

    async def aclose(self) -> None:
        self.closed = True
        self.chunks.clear()
        await self.trunk.close()


class Ends:
    """The end of a stream, for who waits for it: ``closed`` of a reader or a writer. That it failed is told elsewhere,
    too, so nobody has to ask."""

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell(self, error: BaseException | None = None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)
            self.future.exception()  # told
