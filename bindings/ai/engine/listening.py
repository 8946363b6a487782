"""An engine that several supervisors ask over the network: a channel each, to the same model.

They may ask and measure; what loads, ends or puts it to sleep is for the process that started it to say. A supervisor
is told, a few times a second while it changes, how many requests the others have in it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bindings.ai.engine.protocol import EngineInfo
from runtime.wire import Channel, PushSource

if TYPE_CHECKING:
    from runtime.wire.net import Hello

OPERATIONS = frozenset({"perform", "stats", "metrics"})
TELL_S = 0.25

Handle = Callable[[str, list[Any]], Awaitable[object]]
Sources = Callable[[str, list[Any]], AsyncIterator[Any] | PushSource]


class Listening:
    """``version``: that of whoever may ask."""

    def __init__(self, handle: Handle, sources: Sources, info: Callable[[], EngineInfo]) -> None:
        self._handle, self._sources, self._info = handle, sources, info
        self.fronts: set[Channel] = set()
        self._server: asyncio.Server | None = None
        self._tells: asyncio.Task[None] | None = None
        self._where: dict[str, Any] = {}
        self._here: dict[str, Any] = {}

    async def begin(self, host: str, version: str) -> dict[str, Any]:
        """``{"port", "certificate", "token"}``: what a supervisor needs to dial."""
        if self._server is None:
            from runtime.wire.net import Identity, listen  # not needed where only its own supervisor asks

            identity = await asyncio.to_thread(Identity.make)
            self._server = await listen(identity, version, self._serve, host)
            port = self._server.sockets[0].getsockname()[1]
            self._where = {"port": port, "certificate": identity.certificate, "token": identity.token}
            self._tells = asyncio.create_task(self._tell())
        return self._where

    async def begin_here(self, version: str) -> dict[str, Any]:
        """``{"address", "token"}``: what a supervisor on this machine needs."""
        if not self._here:
            from runtime.wire.net import listen_here

            token = secrets.token_urlsafe(32)
            self._here = {"address": await listen_here(token, version, self._serve), "token": token}
        return self._here

    def _serve(self, hello: Hello) -> Channel:
        channel = Channel(self._answer, on_close=lambda: self.fronts.discard(channel), sources=self._sources)
        self.fronts.add(channel)
        return channel

    async def _answer(self, op: str, args: list[Any]) -> object:
        if op == "info":
            return self._info()
        if op == "ping":
            return None
        if op not in OPERATIONS:
            raise ValueError(f"{op!r} is not for a front to ask")
        return await self._handle(op, args)

    async def _tell(self) -> None:
        told: dict[Channel, int] = {}
        while True:
            loads = {channel: channel.load for channel in self.fronts}
            others = {channel: sum(loads.values()) - load for channel, load in loads.items()}
            for channel, number in others.items():
                if told.get(channel, 0) != number:
                    channel.note("others", number)
            told = others
            await asyncio.sleep(TELL_S)


__all__ = ["Listening"]
