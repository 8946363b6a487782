"""A replica on another machine as the supervisor sees it: ``EngineProcess``'s methods over TLS.

``open`` waits for the replica's address, which the cluster tells once the model is loaded, and dials it. A beat tells a
frozen machine, or a cable that was cut, from a model that thinks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

import msgspec

from bindings.ai.cluster.wanted import Address, WantedReplica
from bindings.ai.engine.process import EngineProcess, Launch, Log
from bindings.ai.engine.protocol import EngineInfo, EngineSpec, Progress
from bindings.ai.engine.room import Room
from runtime.errors import UserError
from runtime.wire import Channel, ChannelClosed, RemoteError, no_calls
from runtime.wire.net import Hello, HelloRefused, dial

BEAT_S, PATIENCE_S = 1.0, 3.0
AGAIN_S = 0.5  # before the address is asked for anew, where nobody answers at the last one


class Addresses(Protocol):
    """The cluster (``bindings.ai.cluster.cluster``)."""

    async def address(self, wanted: WantedReplica, pending: Callable[[str], None]) -> Address:
        """Raises UserError: the cluster cannot be reached, or will not have it. ``pending(why)``: it waits."""

    def release(self, name: str) -> None:
        """This front wants it no more."""


class Place(Room):
    """Ray finds the room: here it is only said what is waited for, and where the replica is."""

    def __init__(self) -> None:
        self.found_on, self.pending = "", ""

    @property
    def node(self) -> str:
        return self.found_on

    @property
    def detail(self) -> str:
        return self.pending


class RemoteProcess(EngineProcess):
    def __init__(self, log: Log, cluster: Addresses, wanted: WantedReplica, place: Place) -> None:
        super().__init__(log)
        self._cluster, self._wanted, self._place = cluster, wanted, place
        self._others = 0
        self._address: Address
        self._beats: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        return 0  # another machine's

    @property
    def others(self) -> int:
        return self._others

    async def open(self, spec: EngineSpec, progress: Progress) -> EngineInfo:
        """Raises UserError: it cannot be loaded there."""
        progress("load", None)
        while True:
            address = await self._cluster.address(self._wanted, self._pends)
            self._pends("")
            if address.error:
                where = f"{spec.engine}: {spec.model} on node {address.node}"
                raise UserError(address.error, where=where, remedy="What that node lacks, it says:  pilot doctor")
            try:
                return await self._dial(address)
            except HelloRefused as error:
                what = f"the replica on node {address.node} refuses: {error}"
                raise UserError(what, where=spec.model, remedy="Every node wants this host's release.") from None
            except (OSError, TimeoutError, ChannelClosed):
                await asyncio.sleep(AGAIN_S)

    async def _dial(self, address: Address) -> EngineInfo:
        hello = Hello(version=self._wanted.version, token=address.token)
        self._channel = await dial(address.host, address.port, address.certificate, hello, self._made)
        self._address, self._place.found_on = address, address.node
        self.info = msgspec.convert(await self._channel.call("info"), EngineInfo)
        self._beats = asyncio.create_task(beat(self._channel))
        return self.info

    async def listen_here(self, version: str) -> dict[str, Any]:
        """It listens already, where another front of this host can reach it as well."""
        told = self._address
        return {"host": told.host, "port": told.port, "certificate": told.certificate, "token": told.token}

    def _made(self) -> Channel:
        return Channel(no_calls, on_note=self._on_note)

    def _pends(self, why: str) -> None:
        self._place.pending = why

    def _on_note(self, op: str, args: list[Any]) -> None:
        if op == "others":
            self._others = args[0]

    async def sleep(self) -> int:
        """Other fronts may have requests in it."""
        return 0

    async def aclose(self, grace_s: float = 0) -> str:
        """Leave it. One that is left while it could be asked is wanted no more."""
        if self._beats is not None:
            self._beats.cancel()
        if not hasattr(self, "_channel"):
            self._cluster.release(self._wanted.name)
            return "it was not reached"
        if self._channel.is_open:
            self._cluster.release(self._wanted.name)
            await self._channel.aclose()
        return f"its connection to node {self._place.node} was lost"

    def kill(self) -> None:
        if hasattr(self, "_channel"):
            self._channel.abort()


async def beat(channel: Channel) -> None:
    """Until nothing answers any more; then the connection is as good as lost."""
    with suppress(ChannelClosed):
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await channel.call("ping")
            except (TimeoutError, RemoteError):
                return channel.abort()


def launcher(cluster: Addresses, wanted: WantedReplica, place: Place) -> Launch:
    """In place of ``EngineProcess.start``."""

    async def launch(log: Log, environment: Mapping[str, str]) -> EngineProcess:
        return RemoteProcess(log, cluster, wanted, place)

    return launch


__all__ = ["Addresses", "Place", "RemoteProcess", "beat", "launcher"]
