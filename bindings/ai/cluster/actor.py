"""One replica on one node of a Ray cluster: an actor that keeps an engine's process and says where that listens.

Ray places it, restarts it when its process or its node dies, and keeps its name unique; no request and no token goes
through it. What Ray cannot see it watches itself: an engine that hangs is killed, and one that ends is started again in
place. It ends when no front has been linked to the engine for ``linger_s`` seconds, or at once when the last of them
has said that it wants it no more.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import cached_property
from typing import Any

import msgspec
import ray

from bindings.ai.cluster.remote import BEAT_S, PATIENCE_S
from bindings.ai.cluster.wanted import OfRelease, WantedReplica
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.process import EngineProcess
from bindings.ai.engine.protocol import EngineError
from runtime import VERSION
from runtime.wire import ChannelClosed, RemoteError

LIBRARY: Any = ray  # parts of it have no types
FIRST_FRONT_S = 60.0  # that the one who wanted it has to ask where it listens
LOAD_S = 86_400.0  # the patience is that of the fronts


class Printed:
    """What is told to a person, in the log that Ray keeps of this process."""

    def warn(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def progress(self, what: str, stage: str, fraction: float | None, detail: str = "") -> None: ...

    def progress_done(self, what: str, text: str) -> None: ...


class ReplicaActor:
    """Made at once: one that raises here is dead for good, whatever its ``max_restarts`` say."""

    def __init__(self, wanted: bytes) -> None:
        self._told = wanted
        self._client: EngineClient | None = None
        self._listens: EngineProcess | None = None
        self._where: dict[str, Any] = {}
        self._watch: asyncio.Task[None] | None = None
        self._released, self._linked_at = False, time.monotonic() + FIRST_FRONT_S

    @cached_property
    def _wanted(self) -> WantedReplica:
        return msgspec.json.decode(self._told, type=WantedReplica)

    async def told(self) -> tuple[bytes, str]:
        """(what it was made of, its node), at once: it has a place."""
        return self._told, _node()

    async def address(self) -> dict[str, Any]:
        """An ``Address``, once the model is loaded; or with the error that keeps it from that."""
        self._released, node = False, _node()
        if (theirs := msgspec.json.decode(self._told, type=OfRelease).version) != VERSION:
            return {"node": node, "error": f"it has Pilotlight {VERSION}, and this host {theirs}"}
        try:
            client = self._started()
            process = await client.serving()
            if process is not self._listens:
                self._where = await process.listen(node, self._wanted.version)
                self._listens = process
        except (EngineError, RemoteError, ChannelClosed) as error:
            return {"node": node, "error": str(error)}
        self._linked_at = time.monotonic() + PATIENCE_S  # that the one who asks has to link itself
        return {"node": node, "host": node, **self._where}

    async def release(self) -> None:
        """A front wants it no more; the last one's leave is the end."""
        self._released, self._linked_at = True, min(self._linked_at, time.monotonic())

    def _started(self) -> EngineClient:
        if self._client is None:
            self._client = EngineClient(self._wanted.spec, Printed(), log=Printed().warn, load_timeout=LOAD_S)
            self._watch = asyncio.create_task(self._watch_over(self._client))
        return self._client

    async def _watch_over(self, client: EngineClient) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            if client.state == "ready" and await self._fronts(await client.serving()):
                self._linked_at = time.monotonic()
            elif self._is_unwanted(client):
                await client.aclose()
                ray.kill(LIBRARY.get_runtime_context().current_actor, no_restart=True)

    def _is_unwanted(self, client: EngineClient) -> bool:
        patience = 0 if self._released else self._wanted.linger_s
        return client.state != "loading" and time.monotonic() - self._linked_at > patience

    async def _fronts(self, process: EngineProcess) -> int:
        """Those who are linked to it. It is killed if it does not answer: a hang is for nobody else to see."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await process.fronts()
        except TimeoutError:
            Printed().warn("the engine does not answer, and is started again")
            process.kill()
        except (RemoteError, ChannelClosed):
            pass
        return 0


def _node() -> str:
    address: str = LIBRARY.util.get_node_ip_address()
    return address


__all__ = ["ReplicaActor"]
