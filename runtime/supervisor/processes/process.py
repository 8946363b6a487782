"""One isolate's process as the supervisor holds it: how it is begun, and how it is made to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from bindings.base import Answering, Binding, Resident
from runtime.config import Config
from runtime.errors import ScriptError
from runtime.isolate.ambient import is_listed
from runtime.isolate.boot import Boot
from runtime.supervisor.calls.at_work import AtWork
from runtime.supervisor.calls.call import Callee
from runtime.supervisor.calls.channel import PassingChannel
from runtime.supervisor.limits import IsolateLost, Limits, cpu_exceeded, ended
from runtime.supervisor.processes.asked import Asked, asking_of
from runtime.supervisor.processes.broker import Broker
from runtime.supervisor.processes.cgroups import Cgroup
from runtime.supervisor.processes.health.stacks import Stack, Stacks
from runtime.supervisor.processes.parts import Parts, Stream
from runtime.supervisor.processes.spawning import NO_SHELF, STOP_GRACE_S, Child, shelf_of
from runtime.supervisor.sockets.asked import deflates
from runtime.wire import ChannelClosed, RemoteError

CPU_EXCEEDED = "CpuExceeded"  # what an isolate raises
_STRAY_S = 5.0  # seconds after which a process that nobody heard of has ended
_LOAD_TIMEOUT_S = 60.0  # seconds a script may take to import
_SLOW_LOAD_S = 1.0  # seconds of it that nobody need be told of; from then on at 1, 2, 4 ...
_IDLE_POLL_S = 0.05  # seconds between two looks whether requests are in hand
_BLOCKED_AFTER_S = 5.0  # seconds without a sign of life that end a process nobody waits for


class Process:
    """A running isolate with the broker that serves it."""

    def __init__(
        self,
        child: Child,
        channel: PassingChannel,
        broker: Broker,
        stacks: Stacks,
        temp: str | None = None,
        cgroup: Cgroup | None = None,
        asked: Asked | None = None,
    ) -> None:
        self.child, self.channel, self.broker, self.stacks = child, channel, broker, stacks
        self.blocked = False  # its event loop has not turned for a while
        self.leaving = False  # it is asked to end, for another takes its place
        self.spent = False  # it is killed because its requests have used up their CPU time
        self.temp, self._cgroup, self._asked = temp, cgroup, asked
        self.gone = asyncio.create_task(self._watch_exit())

    @property
    def alive(self) -> bool:
        return self.channel.is_open

    async def idle(self, within: float) -> None:
        """Until it has no requests in hand and is needed no more, or so many seconds have gone."""
        until = time.monotonic() + within
        while self.alive and (self.broker.at_work.activities or self._is_needed) and time.monotonic() < until:
            await asyncio.sleep(_IDLE_POLL_S)

    async def unneeded(self) -> None:
        """Until others hold nothing of it: neither an object nor a stream."""
        while self.alive and self._is_needed:
            await asyncio.sleep(_IDLE_POLL_S)

    @property
    def _is_needed(self) -> bool:
        return self.broker.stubs.lent > 0 or self.channel.reads

    async def drain(self, within: float) -> None:
        """Until its ``waitUntil`` tasks are done; not for one that is blocked, since nobody waits for it any more."""
        self.broker.sockets.close("the worker has new code")
        if self.blocked or not await self._called("beat", _BLOCKED_AFTER_S):
            return self.child.kill()
        await self._called("drain", within)

    async def _called(self, op: str, within: float) -> bool:
        """Whether it has answered in time."""
        with contextlib.suppress(ChannelClosed, RemoteError, TimeoutError):
            async with asyncio.timeout(within):
                await self.channel.call(op)
                return True
        return False

    async def aclose(self) -> str:
        """Let it end of its own accord, then make sure. How it ended, in words."""
        await self.channel.aclose()
        try:
            async with asyncio.timeout(STOP_GRACE_S):
                return await self.child.ended()
        except TimeoutError:
            self.child.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_GRACE_S):
                return await self.child.ended()
        return "killed"  # and nobody is left to tell of it

    async def kill(self) -> str:
        """Nothing in it is worth waiting for."""
        self.child.kill()
        return await self.aclose()

    async def _watch_exit(self) -> None:
        """A process that forked leaves its end of the channel open in its children: it is gone all the same."""
        await self.child.ended()
        self.channel.abort()
        self.broker.close()
        if self._asked is not None:
            self._asked.close()
        if self._cgroup is not None:
            self._cgroup.end()
        if self.temp is not None:
            await asyncio.to_thread(shutil.rmtree, self.temp, ignore_errors=True)


class Starter:
    """Begins isolates of one version."""

    def __init__(
        self, config: Config, bindings: Sequence[Binding], parts: Parts, own: Callee, resident: Resident | None = None
    ) -> None:
        self._config, self._bindings, self._parts, self._own, self._resident = config, bindings, parts, own, resident
        self._main = os.path.relpath(config.main or config.root, config.root)
        self._shelf = NO_SHELF if parts.confinement is not None else shelf_of(config)
        self._answering = {one.socket_folder: one for one in bindings if isinstance(one, Answering)}
        self.living: set[Process] = set()

    async def begin(self) -> Process:
        """A process with the code loaded. Raises ``ScriptError`` when the script does not load, ``IsolateLost`` when
        that is not the script's fault: the zygote was killed, and the next one as well."""
        clients = [binding.client for binding in self._bindings if is_listed(binding.name)]
        clients += [self._resident.client] if self._resident is not None else []
        self._parts.spawner.preload(sorted({client.partition(":")[0] for client in clients}), self._shelf)
        try:
            return await self._begin()
        except IsolateLost:
            return await self._begin()

    async def _begin(self) -> Process:
        process = await self._start()
        try:
            modules, safe = await self._loaded(process)
        except BaseException as error:
            raise self._not_loaded(
                error, process.channel.excess or await process.kill(), process.child.bereft
            ) from None
        if self._parts.confinement is None:  # the zygote is in no sandbox
            self._parts.spawner.preload(modules, self._shelf, safe=safe)
        return process

    async def _loaded(self, process: Process) -> tuple[list[str], bool]:
        """What it has imported. Raises ``ScriptError`` when that takes too long: ``importing`` is told before."""
        await process.channel.call("beat")  # from here on it can say where it is
        if self._parts.debugger is not None:  # a breakpoint may take its time
            await self._parts.debugger.attach(process.channel)
            return await self._load(process)
        loading = asyncio.create_task(self._load(process))
        began, next_ = time.monotonic(), _SLOW_LOAD_S
        try:
            while not (await asyncio.wait([loading], timeout=began + next_ - time.monotonic()))[0]:
                frames = await process.stacks.now()
                if next_ >= _LOAD_TIMEOUT_S:
                    raise self._endless(process.stacks, frames)
                self._parts.on_slow_import(self._config.name, self._main, next_, process.stacks.importing(frames))
                next_ = min(next_ * 2, _LOAD_TIMEOUT_S)
            return await loading
        finally:
            loading.cancel()

    def _endless(self, stacks: Stacks, frames: Stack) -> ScriptError:
        where = stacks.place(frames).removesuffix(", in <module>") or self._main
        what = f"importing the script took more than {_LOAD_TIMEOUT_S:g} s"
        return ScriptError(what, where=where, trace=stacks.text(frames))

    async def _load(self, process: Process) -> tuple[list[str], bool]:
        loaded: tuple[list[str], bool] = await process.channel.call("load", self._boot())
        await process.channel.call("beat")  # what its import has left running lets the event loop turn
        return loaded

    async def _start(self) -> Process:
        stacks = Stacks(self._config.root)
        ours, theirs = socket.socketpair()
        table = {binding.name: binding for binding in self._bindings}
        limits = self._parts.limits
        at_work = AtWork(limits.subrequests if limits else None, self._config.pilot.wait_until)
        broker = Broker(table, self._parts.outbound, at_work, self._parts.reach, self._parts.lasting, self._own)
        temp = tempfile.mkdtemp(prefix="isolate-", dir=confined.temp) if (confined := self._parts.confinement) else None
        try:
            child = await self._parts.spawner.spawn(theirs, partial(self._tell, stacks), self._rules(temp), self._shelf)
            cgroup = self._hold(child)
            line, listener = await asking_of(ours) if confined else (None, None)
        except BaseException:
            ours.close()  # if a process began all the same, this ends it; it may be about to enter its folder
            if temp is not None:
                asyncio.get_running_loop().call_later(_STRAY_S, partial(shutil.rmtree, temp, ignore_errors=True))
            raise
        channel = await PassingChannel.guard(ours, broker, partial(self._over, child), on_note=broker.note)
        keeps = self._resident is not None
        deflating = deflates(self._config.compatibility_date, self._config.compatibility_flags)
        sockets = self._parts.sockets.of(self._config.name, channel, at_work, limits, keeps=keeps, deflates=deflating)
        broker.attach(channel, sockets, line)
        asked = None if listener is None else Asked(listener, self._answering, self._parts.outbound.connect)
        stacks.pid = child.pid
        process = Process(child, channel, broker, stacks, temp, cgroup, asked)
        self.living.add(process)
        process.gone.add_done_callback(lambda _: self.living.discard(process))
        return process

    def _hold(self, child: Child) -> Cgroup | None:
        """Its cgroup, before it has loaded anything; one that has gone already needs none."""
        confined = self._parts.confinement
        if confined is None or confined.cgroups is None or child.pid is None:
            return None
        return confined.cgroups.hold(child.pid, self._parts.limits)

    def _boot(self) -> Boot:
        boot: Boot = {
            "main": str(self._config.main),
            "root": str(self._config.root),
            "bindings": [[binding.name, binding.client, dict(binding.client_args)] for binding in self._bindings],
            "wait_until": self._config.pilot.wait_until,
            "packages": list(map(str, self._config.packages)),
            "confined": self._parts.confinement is not None,
            "through": self._parts.through,
        }
        if self._parts.limits is not None:
            boot["cpu_ms"] = self._parts.limits.cpu_ms
        if self._resident is not None:
            boot["resident"] = self._resident.client, dict(self._resident.args())
        return boot

    def _rules(self, temp: str | None) -> dict[str, Any] | None:
        confined = self._parts.confinement
        if confined is None:
            return None
        limits, read = self._parts.limits, [str(self._config.root), *map(str, self._config.packages)]
        sizes = {"memory": limits.memory_mb << 20, "file_size": limits.temp_mb << 20} if limits else {}
        kept = self._resident.rules() if self._resident is not None else {}
        walls = {"read": read, "temp": temp, "apart": confined.namespaces, "asks": bool(self._answering)}
        return {**walls, **sizes, **kept}

    def _not_loaded(self, error: BaseException, ended: str, bereft: bool) -> BaseException:
        if isinstance(error, RemoteError):
            return script_error(error)
        if isinstance(error, ChannelClosed) and bereft:
            return IsolateLost("the process that isolates are forked from was killed while the script was imported")
        if isinstance(error, ChannelClosed):
            what = f"the worker's process ended while the script was imported: {ended}"
            return ScriptError(what, where=self._main)
        return error

    def _over(self, child: Child, why: str) -> None:
        child.kill()
        self._parts.on_excess(self._config.name, f"the worker's process was ended: it {why}")

    def _tell(self, stacks: Stacks, stream: str, line: str) -> None:
        if stream == "stack":
            return stacks.heard(line)
        self._parts.on_output(self._config.name, cast(Stream, stream), line)


async def died(process: Process, limits: Limits | None) -> ScriptError:
    """Why, once it has ended."""
    how = await process.aclose()
    if process.spent and limits is not None:
        return cpu_exceeded(limits.cpu_ms)
    if process.channel.excess is not None:
        return ended(process.channel.excess)
    return IsolateLost(f"the worker's process ended: {how}. The next request starts a new one")


def failure(error: RemoteError, limits: Limits | None) -> ScriptError:
    """What its script has raised, or has used up."""
    return cpu_exceeded(limits.cpu_ms) if limits and error.name == CPU_EXCEEDED else script_error(error)


def script_error(error: RemoteError) -> ScriptError:
    """The script's exception as it came over the channel."""
    known = {key: str(error.fields.get(key, "")) for key in ("where", "remedy", "trace")}
    what = error.message if error.name == "ScriptError" else f"{error.name}: {error.message}"
    return ScriptError(what, **known)


__all__ = ["CPU_EXCEEDED", "Process", "Starter", "died", "failure"]
