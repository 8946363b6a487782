"""A Ray cluster as the supervisor knows it: by its agent, which is started with the first replica that is wanted, and
anew whenever it has ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Coroutine
from contextlib import suppress
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from bindings.ai.cluster.remote import Place, launcher
from bindings.ai.cluster.wanted import Address, WantedReplica
from bindings.ai.engine.process import Launch
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.replicas.placement import Placement, gpus_needed, opened
from runtime import VERSION
from runtime.errors import UserError
from runtime.extras import install
from runtime.wire import Channel, ChannelClosed, RemoteError, no_calls

NAME = "pilot"  # what the names of our actors begin with
AGAIN_S = 0.5  # before an agent that has ended is started anew
PATIENCE = {"RAY_gcs_server_port_wait_time_s": "5"}  # seconds, about, that Ray tries a head: 20 with its own
RELEASE_S = 3.0  # that leaving waits for the word to arrive
OPEN_TO_ALL = (
    "the Ray cluster asks for no token: whoever reaches its ports runs code on its machines. "
    "Set  RAY_AUTH_MODE=token  on every node, and here"
)

DIFFERS = (
    "the cluster has replicas of another row of this name, another host's or those of before a change; each host is "
    "answered by replicas of its own row"
)


class Cluster:
    """``address``: as ``ray.init`` takes it. ``linger_s``: that a replica stays which no front is linked to.
    ``warn(text)``: tell the person.
    """

    def __init__(self, address: str, linger_s: float, warn: Callable[[str], None], log: Callable[[str], None]) -> None:
        self.where, self._linger_s, self._warn, self._log = address, linger_s, warn, log
        self._leaves = False
        self._pending: dict[str, Callable[[str], None]] = {}  # by the replica's name, as the next
        self._places: WeakValueDictionary[str, Place] = WeakValueDictionary()
        self._agent: Channel | None = None
        self._process: Process | None = None
        self._attaching: asyncio.Task[Channel] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._releases: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()  # warnings: each once

    def begin(self) -> None:
        """Join it now: what keeps us from that is said at the start, and not to the first client."""
        self._spawn(self._join())

    def replica(self, spec: EngineSpec, placement: Placement, index: int) -> tuple[Place, Launch]:
        """What a client of this replica is made of."""
        gpus = gpus_needed(spec, placement)
        told, place = opened(spec, gpus, can_sleep=False), Place()
        same = msgspec.json.encode([VERSION, told, gpus, placement.where], order="deterministic")
        wanted = WantedReplica(
            name=f"{NAME}/{blake2b(same, digest_size=8).hexdigest()}/{index}", row=placement.row, spec=told, gpus=gpus,
            where=dict(placement.where), linger_s=self._linger_s, version=VERSION,
        )  # fmt: skip
        self._places[wanted.name] = place
        return place, launcher(self, wanted, place)

    def leave(self) -> None:
        """What is let go of from here on stays for ``linger`` seconds: a front that starts again finds it loaded."""
        self._leaves = True

    async def address(self, wanted: WantedReplica, pending: Callable[[str], None]) -> Address:
        """Raises UserError: no Ray here, or a cluster that does not take us."""
        self._pending[wanted.name] = pending
        try:
            while True:
                try:
                    agent = await self._attached()
                    return msgspec.convert(await agent.call("address", wanted), Address)
                except ChannelClosed:
                    await asyncio.sleep(AGAIN_S)
                except RemoteError as error:
                    raise _as_user_error(error) from None
        finally:
            self._pending.pop(wanted.name, None)

    def release(self, name: str) -> None:
        """Told soon; nothing happens where it cannot be."""
        if self._leaves:
            return
        self._spawn(self._release(name), self._releases)

    async def aclose(self) -> None:
        """End the agent; replicas go on for whoever else is linked to them."""
        if self._releases:
            await asyncio.wait(self._releases, timeout=RELEASE_S)
        agent, self._agent = self._agent, None
        if agent is not None:
            await agent.aclose()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        for task in (*self._tasks, *([self._attaching] if self._attaching else [])):
            task.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]] | None = None) -> None:
        among = self._tasks if among is None else among
        task = asyncio.get_running_loop().create_task(work)
        among.add(task)
        task.add_done_callback(among.discard)

    async def _join(self) -> None:
        try:
            await self._attached()
        except ChannelClosed:
            return  # the first request finds out
        except (UserError, RemoteError) as error:
            told = _as_user_error(error) if isinstance(error, RemoteError) else error
            self._warn(f"{told}\nModels with replicas, gpus or where are not served until then; all others are")

    async def _release(self, name: str) -> None:
        with suppress(ChannelClosed, RemoteError, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                if self._agent is not None:
                    await self._agent.call("release", name)

    async def _attached(self) -> Channel:
        """By the agent there is, or one that is begun; whoever comes meanwhile waits for the same."""
        if self._agent is not None and self._agent.is_open:
            return self._agent
        if self._attaching is None or self._attaching.done():
            self._attaching = asyncio.create_task(self._attach())
        return await asyncio.shield(self._attaching)

    async def _attach(self) -> Channel:
        agent = await self._start()
        try:
            told = await agent.call("attach", self.where)
        except BaseException:
            await agent.aclose()
            raise
        if told["is_open_to_all"]:
            self._warn_once(OPEN_TO_ALL)
        self._log(f"joined the Ray cluster at {self.where}: {told['nodes']} nodes with {told['gpus']:g} GPUs")
        self._agent = agent
        return agent

    async def _start(self) -> Channel:
        if find_spec("ray") is None:
            raise UserError("Ray is not installed here", where="[pilot.cluster]", remedy=install("ray"))
        own_end, agent_end = socket.socketpair()
        with agent_end:
            channel = await Channel.open(own_end, no_calls, on_note=self._on_note)
            self._process = await _spawn(agent_end)
        self._spawn(self._read(self._process))
        return channel

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._log(line.decode(errors="replace").rstrip())

    def _on_note(self, op: str, args: list[Any]) -> None:
        match op, args:
            case "pending", [name, why] if name in self._pending:
                self._pending[name](why)
            case "placed", [name, node]:
                self._on_note("pending", [name, ""])
                if (place := self._places.get(name)) is not None:
                    place.found_on = node
            case "differs", [row, how]:
                self._warn_once(f"{row}: {DIFFERS} ({how})")

    def _warn_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._warn(text)


async def _spawn(agent_end: socket.socket) -> Process:
    """Without what is no business of a cluster's: Ray takes a driver's environment along."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PILOT_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "bindings.ai.cluster.agent", str(agent_end.fileno()), stdin=DEVNULL, stdout=PIPE,
        stderr=STDOUT, pass_fds=[agent_end.fileno()], start_new_session=True, limit=1 << 20, env={**PATIENCE, **own},
    )  # fmt: skip


def _as_user_error(error: RemoteError) -> UserError:
    if error.name == "UserError":
        return UserError(error.fields["what"], where="[pilot.cluster]", remedy=error.fields["remedy"])
    return UserError(f"{error.name}: {error.message}", where="[pilot.cluster]", remedy="Ray says more:  ray status")


__all__ = ["Cluster"]
