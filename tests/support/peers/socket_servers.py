"""WebSockets as a client of another make opens them, and a server of that make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed


def opening(url: str, **options: Any) -> connect:
    """``async with opening(url) as socket``: of an ``http`` URL. It sends no pings of its own."""
    return connect("ws" + url.removeprefix("http"), ping_interval=None, proxy=None, max_size=1 << 26, **options)


async def _echo(socket: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        async for message in socket:
            await socket.send(message)


@asynccontextmanager
async def echoing(handler: Any = _echo, **options: Any) -> AsyncIterator[tuple[Server, str]]:
    """A server, and its URL."""
    async with serve(handler, "127.0.0.1", 0, ping_interval=None, max_size=1 << 26, **options) as server:
        yield server, f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"


__all__ = ["ClientConnection", "ServerConnection", "echoing", "opening"]
