"""Images on their way to the process that reads them: files without a name, so that none is held in memory."""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import IO

from bindings.images.failures import BAD_OPTIONS, TOO_LARGE, ImageFailure
from bindings.images.limits import MAX_INPUT_BYTES
from bindings.messages import WorkerStream

_WRITE_BYTES = 1024 * 1024  # gathered before a thread writes them


def new_file() -> IO[bytes]:
    """Gone when it is closed. Raises OSError."""
    return tempfile.TemporaryFile(buffering=0)  # noqa: SIM115


async def spooled(image: object) -> IO[bytes]:
    """Bytes or a stream, in a file that whoever asked for it closes. Raises ImageFailure, OSError, and what the stream
    does."""
    if not isinstance(image, bytes | WorkerStream):
        raise ImageFailure(BAD_OPTIONS, "an image is a ReadableStream or bytes")
    file = await asyncio.to_thread(new_file)
    try:
        if isinstance(image, bytes):
            _check(len(image))
            await asyncio.to_thread(_write, file, [image])
        else:
            await _copy(image, file)
        return file
    except BaseException:
        file.close()
        raise


async def _copy(stream: WorkerStream, file: IO[bytes]) -> None:
    waiting, size, written = list[bytes](), 0, 0
    async for chunk in stream:
        waiting.append(chunk)
        size += len(chunk)
        _check(size)
        if size - written >= _WRITE_BYTES:
            await asyncio.to_thread(_write, file, waiting)
            waiting, written = [], size
    await asyncio.to_thread(_write, file, waiting)


def _check(size: int) -> None:
    if size > MAX_INPUT_BYTES:
        raise ImageFailure(TOO_LARGE, f"the image has more than {MAX_INPUT_BYTES // 10**6} MB")


def _write(file: IO[bytes], chunks: list[bytes]) -> None:
    view = memoryview(b"".join(chunks))
    while view:
        view = view[os.write(file.fileno(), view) :]


__all__ = ["new_file", "spooled"]
