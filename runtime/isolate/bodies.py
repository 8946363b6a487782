"""Bodies on their way out of an isolate: bytes, in pieces a frame can hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from runtime import web
from runtime.isolate.carried import carried, is_ours

_PIECE = 256 * 1024


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), _PIECE):
        yield body[at : at + _PIECE]


async def chunks(source: Any) -> AsyncGenerator[bytes, None]:
    """What the script yields."""
    try:
        async for chunk in source:
            data = web.to_bytes(chunk)
            if len(data) <= _PIECE:
                yield data
            else:
                async for piece in pieces(data):
                    yield piece
    finally:
        await close(source)


class Readable:
    """A response body: what it raises half-way is the script's, so it carries the script's traceback.

    ``ended()`` is called when no more will be read, whether it was read to its end, in part or not at all.
    """

    def __init__(self, source: Any, ended: Callable[[], None]) -> None:
        self._source, self._chunks, self._ended = source, chunks(source), ended

    def __aiter__(self) -> Readable:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except BaseException as error:
            if is_ours(error):
                raise
            raise carried(error) from None

    async def aclose(self) -> None:
        try:
            await self._chunks.aclose()
            await close(self._source)  # for one that was never started
        finally:
            self._ended()


async def close(source: Any) -> None:
    if (aclose := getattr(source, "aclose", None)) is not None:
        await aclose()
