"""Bodies on their way out of an isolate: bytes, in pieces a frame can hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from typing import Self

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


class _Chunks:
    """A source's chunks. Closing it closes the source, begun or not."""

    def __init__(self, source: AsyncIterable[object]) -> None:
        self._source, self._chunks = source, chunks(source)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except BaseException as error:
            if (instead := self._failed(error)) is not None:
                raise instead from None
            raise

    async def aclose(self) -> None:
        await self._chunks.aclose()
        await close(self._source)

    def _failed(self, error: BaseException) -> Exception | None:
        """The source has raised it. What is raised in its place, if anything is."""
        raise NotImplementedError


class ScriptStream(_Chunks):
    """A response body: what it raises half-way is the script's, so it carries the script's traceback.

    ``ended()`` is called when no more will be read, whether it was read to its end, in part or not at all.
    """

    def __init__(self, source: AsyncIterable[object], ended: Callable[[], None]) -> None:
        super().__init__(source)
        self._ended = ended

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            self._ended()

    def _failed(self, error: BaseException) -> Exception | None:
        return None if ended_by_runtime(error) else as_failure(error)


class SentStream(_Chunks):
    """A stream that is sent as an argument: ``failures`` gets what its source raises, which the other end knows as a
    text alone."""

    def __init__(self, source: AsyncIterable[object], failures: list[Exception]) -> None:
        super().__init__(source)
        self._failures = failures

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._failures.append(error)


async def close(source: object) -> None:
    if (aclose := getattr(source, "aclose", None)) is not None:
        await aclose()
