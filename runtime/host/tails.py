"""Live logs: who tails a worker gets an event per request, with what the worker printed and raised meanwhile.

The events are Cloudflare's (``trace-v1``), over a WebSocket of a server of its own: wrangler sends its first message
unmasked, which strict servers refuse and aiohttp takes. A tail's address has a secret in it and is good for an hour.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.messages import TraceItem

if TYPE_CHECKING:
    from aiohttp import web

_LIFETIME_S = 3600.0  # seconds a tail's address is good for
_MAX_QUEUED_EVENTS = 1_000  # events that a slow reader may have waiting; older ones go


class Tail(msgspec.Struct):
    """One reader of one worker's events."""

    worker: str
    filters: Sequence[Mapping[str, Any]]
    expires: float = msgspec.field(default_factory=lambda: time.monotonic() + _LIFETIME_S)
    events: deque[TraceItem] = msgspec.field(default_factory=lambda: deque(maxlen=_MAX_QUEUED_EVENTS))
    more: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def offer(self, event: TraceItem) -> None:
        if all(_passes(event, condition) for condition in self.filters):
            self.events.append(event)
            self.more.set()


async def _nobody() -> None:
    """There is one front."""


class Tails:
    """The readers (together one ``TraceReader``), and the server they read from. It starts with the first of them."""

    def __init__(self, host: str, port: int = 0, tls: Any = None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._tails: dict[str, Tail] = {}
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()
        self.told: Callable[[], Awaitable[None]] = _nobody  # has other fronts know that there is one more
        self.port = 0

    async def open(self, worker: str, filters: Sequence[Mapping[str, Any]]) -> str:
        """A new tail's id."""
        await self._serve()
        for id in [id for id, tail in self._tails.items() if tail.expires < time.monotonic()]:
            self.close(id)
        id = secrets.token_urlsafe(24)
        self._tails[id] = Tail(worker, filters)
        await self.told()
        return id

    def close(self, id: str) -> None:
        if (tail := self._tails.pop(id, None)) is not None:
            tail.expires = 0
            tail.more.set()

    def wants(self, worker: str) -> bool:
        return any(tail.worker == worker for tail in self._tails.values())

    def take(self, worker: str, item: TraceItem) -> None:
        for tail in self._tails.values():
            if tail.worker == worker:
                tail.offer(item)

    async def aclose(self) -> None:
        for id in list(self._tails):
            self.close(id)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self) -> None:
        async with self._starting:
            if self._runner is not None:
                return
            from aiohttp import web

            app = web.Application()
            app.router.add_get("/tails/{id}", self._read)
            self._runner = web.AppRunner(app, access_log=None)
            await self._runner.setup()
            site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
            await site.start()
            self.port = self._runner.addresses[0][1]

    async def _read(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        tail = self._tails.get(request.match_info["id"])
        if tail is None:
            return web.Response(status=404, text="there is no such tail")
        socket = web.WebSocketResponse(protocols=("trace-v1",), heartbeat=30, max_msg_size=64 * 1024)
        await socket.prepare(request)
        listening = asyncio.create_task(_listen(socket, tail))
        try:
            while tail.expires > time.monotonic() and not socket.closed:
                await asyncio.wait_for(tail.more.wait(), max(0.1, tail.expires - time.monotonic()))
                tail.more.clear()
                while tail.events and not socket.closed:
                    await socket.send_bytes(msgspec.json.encode(tail.events.popleft()))
        except (TimeoutError, ConnectionError):
            pass
        finally:
            listening.cancel()
            await socket.close()
        return socket


async def _listen(socket: Any, tail: Tail) -> None:
    """What a reader says is of no account; that it leaves is."""
    async for _ in socket:
        pass
    tail.expires = 0
    tail.more.set()


def _passes(event: TraceItem, condition: Mapping[str, Any]) -> bool:
    """Cloudflare's filters; one nobody knows lets everything through."""
    request = (event["event"] or {}).get("request") or {}
    if "sampling_rate" in condition:
        return random.random() < float(condition["sampling_rate"])
    if "outcome" in condition:
        return event["outcome"] in condition["outcome"]
    if "method" in condition:
        return request.get("method") in condition["method"]
    if "query" in condition:
        return str(condition["query"]) in msgspec.json.encode(event["logs"]).decode()
    return True


__all__ = ["Tails"]
