"""A Ray cluster as the supervisor knows it: by its agent, which is started with the first replica that is wanted, and
anew whenever it has ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from importlib import metadata
from importlib.util import find_spec
from typing import Any, NoReturn

import msgspec

from bindings.ai.cluster.remote import Address, Place, WantedReplica, launcher
from bindings.ai.engine.process import Launch
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.replicas.placement import Placement, gpus_needed, opened
from runtime.errors import UserError
from runtime.extras import install
from runtime.wire import Channel, ChannelClosed, RemoteError

NAME = "pilot"  # what the names of our actors begin with
AGAIN_S = 0.5  # before an agent that has ended is started anew
RELEASE_S = 3.0  # that leaving waits for the word to arrive
OPEN_TO_ALL = (
    "the Ray cluster asks for no token: whoever reaches its ports runs code on its machines. "
    "Set  RAY_AUTH_MODE=token  on every node, and here"
)


class Cluster:
    """``address``: as ``ray.init`` takes it. ``linger_s``: that a replica stays which no front is linked to.
    ``warn(text)``: tell the person.
    """

    def __init__(self, address: str, linger_s: float, warn: Callable[[str], None], log: Callable[[str], None]) -> None:
        self.where, self._linger_s, self._warn, self._log = address, linger_s, warn, log
        self._leaves = False
        self._pending: dict[str, Callable[[str], None]] = {}  # by the replica's name
        self._agent: Channel | None = None
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_told = False

    def replica(self, spec: EngineSpec, placement: Placement, index: int) -> tuple[Place, Launch]:
        """What a client of this replica is made of."""
        gpus = gpus_needed(spec, placement)
        told, place = opened(spec, gpus, can_sleep=False), Place()
        version = metadata.version("pilotlight")
        row = msgspec.json.encode([version, told, gpus, placement.where], order="deterministic")
        wanted = WantedReplica(
            name=f"{NAME}/{blake2b(row, digest_size=8).hexdigest()}/{index}", spec=told, gpus=gpus,
            where=dict(placement.where), linger_s=self._linger_s, version=version,
        )  # fmt: skip
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
        task = asyncio.get_running_loop().create_task(self._release(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        """End the agent; replicas go on for whoever else is linked to them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=RELEASE_S)
        agent, self._agent = self._agent, None
        if agent is not None:
            await agent.aclose()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _release(self, name: str) -> None:
        with suppress(ChannelClosed, RemoteError, TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                if self._agent is not None:
                    await self._agent.call("release", name)

    async def _attached(self) -> Channel:
        async with self._starting:
            if self._agent is not None and self._agent.is_open:
                return self._agent
            agent = await self._start()
            try:
                told = await agent.call("attach", self.where)
            except BaseException:
                await agent.aclose()
                raise
            if told["is_open_to_all"] and not self._is_told:
                self._is_told = True
                self._warn(OPEN_TO_ALL)
            self._agent = agent
            return agent

    async def _start(self) -> Channel:
        if find_spec("ray") is None:
            raise UserError("Ray is not installed here", where="[pilot.cluster]", remedy=install("ray"))
        own_end, agent_end = socket.socketpair()
        with agent_end:
            channel = await Channel.open(own_end, _no_calls, on_note=self._on_note)
            self._process = await _spawn(agent_end)
        task = asyncio.create_task(self._read(self._process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return channel

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._log(line.decode(errors="replace").rstrip())

    def _on_note(self, op: str, args: list[Any]) -> None:
        if op == "pending" and args[0] in self._pending:
            self._pending[args[0]](args[1])


async def _spawn(agent_end: socket.socket) -> Process:
    """Without what is no business of a cluster's: Ray takes a driver's environment along."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PILOT_")}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "bindings.ai.cluster.agent", str(agent_end.fileno()), stdin=DEVNULL, stdout=PIPE,
        stderr=STDOUT, pass_fds=[agent_end.fileno()], start_new_session=True, limit=1 << 20, env=environment,
    )  # fmt: skip


def _as_user_error(error: RemoteError) -> UserError:
    if error.name == "UserError":
        return UserError(error.fields["what"], where="[pilot.cluster]", remedy=error.fields["remedy"])
    return UserError(f"{error.name}: {error.message}", where="[pilot.cluster]", remedy="Ray says more:  ray status")


async def _no_calls(op: str, args: list[Any]) -> NoReturn:
    raise ValueError("an agent has nothing to ask")


__all__ = ["Cluster"]
