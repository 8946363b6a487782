"""Bodies on their way out of an isolate: bytes, in pieces a frame can hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable

from runtime import web
from runtime.isolate.script.errors import as_failure, ended_by_runtime

_CHUNK_BYTES = 256 * 1024  # at most, in one frame


async def split(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), _CHUNK_BYTES):
        yield body[at : at + _CHUNK_BYTES]


async def chunks(source: AsyncIterable[object]) -> AsyncGenerator[bytes, None]:
    """What the script yields."""
    try:
        async for chunk in source:
            data = web.to_bytes(chunk)
            if len(data) <= _CHUNK_BYTES:
                yield data
            else:
                async for piece in split(data):
                    yield piece
    finally:
        await close(source)


class ScriptStream:
    """A response body: what it raises half-way is the script's, so it carries the script's traceback.

    ``ended()`` is called when no more will be read, whether it was read to its end, in part or not at all.
    """

    def __init__(self, source: AsyncIterable[object], ended: Callable[[], None]) -> None:
        self._source, self._chunks, self._ended = source, chunks(source), ended

    def __aiter__(self) -> ScriptStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except BaseException as error:
            if ended_by_runtime(error):
                raise
            raise as_failure(error) from None

    async def aclose(self) -> None:
        try:
            await self._chunks.aclose()
            await close(self._source)  # for one that was never started
        finally:
            self._ended()


class SentStream:
    """A stream that is sent as an argument: ``failures`` gets what its source raises, which the other end knows as a
    text alone. Closing it closes the source, begun or not."""

    def __init__(self, source: AsyncIterable[object], failures: list[Exception]) -> None:
        self._source, self._chunks, self._failures = source, chunks(source), failures

    def __aiter__(self) -> SentStream:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self._failures.append(error)
            raise

    async def aclose(self) -> None:
        await self._chunks.aclose()
        await close(self._source)


async def close(source: object) -> None:
    if (aclose := getattr(source, "aclose", None)) is not None:
        await aclose()
