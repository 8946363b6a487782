"""Bodies on their way out of an isolate: bytes, in pieces a frame can hold."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from typing import Self

from runtime import web
from runtime.isolate.script.errors import as_failure, ended_by_runtime
from runtime.isolate.suspending import suspendable_steps

_CHUNK_BYTES = 256 * 1024  # at most, in one frame


async def split(body: bytes) -> AsyncIterator[bytes]:
    for piece in _pieces(body):
        yield piece


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + _CHUNK_BYTES] for at in range(0, len(body), _CHUNK_BYTES))


class _Chunks:
    """What the script yields, as bytes. Closing it closes the source, begun or not."""

    __slots__ = ("_begun", "_rest", "_source")

    def __init__(self, source: AsyncIterable[object]) -> None:
        self._source = source
        self._begun: AsyncIterator[object] | None = None
        self._rest: Iterator[bytes] = iter(())  # of a chunk that no frame can hold

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._rest:
            return piece
        try:
            if self._begun is None:
                self._begun = suspendable_steps(aiter(self._source))
            chunk = web.to_bytes(await anext(self._begun))
        except StopAsyncIteration:
            raise
        except BaseException as error:
            if (instead := self._failed(error)) is not None:
                raise instead from None
            raise
        if len(chunk) <= _CHUNK_BYTES:
            return chunk
        self._rest = _pieces(chunk)
        return next(self._rest)

    async def aclose(self) -> None:
        await close(self._source)

    def _failed(self, error: BaseException) -> Exception | None:
        """The source has raised it. What is raised in its place, if anything is."""
        raise NotImplementedError


class ScriptStream(_Chunks):
    """A response body: what it raises half-way is the script's, so it carries the script's traceback.

    ``ended()`` is called when no more will be read, whether it was read to its end, in part or not at all.
    """

    __slots__ = ("_ended",)

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

    __slots__ = ("_failures",)

    def __init__(self, source: AsyncIterable[object], failures: list[Exception]) -> None:
        super().__init__(source)
        self._failures = failures

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._failures.append(error)


async def close(source: object) -> None:
    if (aclose := getattr(source, "aclose", None)) is not None:
        await aclose()
