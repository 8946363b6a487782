"""A file's bytes from the page cache to a client's socket, past this process: ``sendfile(2)``.

uvloop has no sendfile of its own. The transport's buffer is empty when this begins, and nobody writes to it until this
is done; the socket is waited for under a second descriptor, since the first is the transport's alone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from bindings.storage.file_body import FileBody, shortened

_CALL_BYTES = 1024 * 1024  # of one call: others have their turn in between
_FLUSHES = 3  # turns of the loop in which a head leaves the transport's buffer


async def send(transport: asyncio.Transport, body: FileBody, sent: Callable[[int], None]) -> None:
    """All of it, or nothing where that is not possible: then ``body`` is as it was. ``sent`` is told the bytes of each
    call. Raises ConnectionError when the client has gone, OSError."""
    if not hasattr(os, "sendfile") or transport.get_extra_info("sslcontext") is not None:
        return
    for _ in range(_FLUSHES):
        if not transport.get_write_buffer_size():
            break
        await asyncio.sleep(0)
    if transport.get_write_buffer_size() or transport.is_closing():
        return
    socket = os.dup(transport.get_extra_info("socket").fileno())
    try:
        while body.left:
            await body.cached(min(body.left, _CALL_BYTES))
            count = await _some(socket, body)
            body.offset += count
            sent(count)
            await asyncio.sleep(0)
    finally:
        os.close(socket)


async def _some(socket: int, body: FileBody) -> int:
    """How many bytes it took. Raises UserError where the file has become shorter."""
    while True:
        with suppress(BlockingIOError):
            count = os.sendfile(socket, body.descriptor, body.offset, min(body.left, _CALL_BYTES))
            if not count:
                raise shortened()
            return count
        await _writable(socket)


async def _writable(socket: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(socket, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(socket)


__all__ = ["send"]
