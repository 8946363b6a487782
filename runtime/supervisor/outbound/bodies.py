"""Bodies on their way: what goes up to a server, and what comes down."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from runtime.supervisor.outbound.errors import FetchError, cause_of

if TYPE_CHECKING:
    import aiohttp

_CHUNK_BYTES = 64 * 1024


class ResponseBody:
    """The body of an answer, as it comes. ``aclose`` closes the connection at once, unless all was read."""

    def __init__(self, response: aiohttp.ClientResponse, host: str, upload: Any) -> None:
        import aiohttp

        from runtime.supervisor.outbound import passing

        self.response, self._host, self._upload = response, host, upload
        self._read, self._breaks = response.content.readany, (aiohttp.ClientError, OSError)
        self._attach = passing.attach

    def __aiter__(self) -> ResponseBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._read()
        except self._breaks as error:
            await self.aclose()
            raise FetchError(self._host, cause_of(error)) from error
        if chunk:
            return chunk
        await self.aclose()
        raise StopAsyncIteration

    def attach_sink(self, sink: Callable[[bytes], bool]) -> None:
        """As of ``runtime.wire.RemoteStream``."""
        self._attach(self.response, sink)

    async def aclose(self) -> None:
        self._attach(self.response, None)
        self.response.close()  # a connection that has been read to its end is back in the pool by now
        await close(self._upload)


class StreamedBody:
    """A streamed body on its way out. Closing it closes the source, whether it was started, is being read or
    waits for a slow peer."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._reading: Any = self._read()

    def __aiter__(self) -> Any:
        return self._reading

    async def _read(self) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._source:
                yield chunk
        finally:
            await close(self._source)

    async def aclose(self) -> None:
        if self._reading.ag_running:
            return  # its reader has just been cancelled, which closes it
        await self._reading.aclose()
        await close(self._source)  # for one that never started


def payload(body: bytes | StreamedBody | None) -> Any:
    return _pieces(body) if isinstance(body, bytes) and len(body) > _CHUNK_BYTES else body


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    """Large bodies in pieces, so that writing one does not hold up the event loop."""
    view = memoryview(content)
    for start in range(0, len(content), _CHUNK_BYTES):
        yield bytes(view[start : start + _CHUNK_BYTES])


async def close(body: object) -> None:
    if hasattr(body, "aclose"):
        await body.aclose()
