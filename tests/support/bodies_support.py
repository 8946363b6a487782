"""Bodies that count what is read of them."""

from __future__ import annotations

from collections.abc import AsyncIterator


class Source:
    """An async iterator that records whether it was read and closed, like a stream from a peer."""

    def __init__(self, *chunks: bytes | str) -> None:
        self.chunks, self.started, self.closed = list(chunks), False, False

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes | str:
        self.started = True
        if not self.chunks or self.closed:
            raise StopAsyncIteration
        return self.chunks.pop(0)

    async def aclose(self) -> None:
        self.closed = True


async def count(n: int) -> AsyncIterator[str]:
    for i in range(n):
        yield str(i)
