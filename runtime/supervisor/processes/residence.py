"""What of a worker lives on between requests: a process of its own, one at a time whatever versions there are.

Theory of operation
-------------------
Each version has a ``ResidentSlot``, and at most one of a worker's is held: that of the version that answers now. When
that is another one, the process before is asked to finish, and killed if it does not, and has ended when the next one
begins: two never live side by side. Calls that come meanwhile wait. After a crash, too, the old process has ended
first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeVar

from bindings.base import CallError, HostStream
from bindings.messages import HostSocket
from runtime.errors import UserError
from runtime.supervisor.calls import called
from runtime.supervisor.calls.at_work import EventActivity
from runtime.supervisor.calls.call import Answer, Begun, Call, ServiceAnswer, ServiceRequest
from runtime.supervisor.calls.called import CallActivity
from runtime.supervisor.limits import Deadline, IsolateLost, LimitExceeded, cpu_exceeded, ended, too_many
from runtime.supervisor.processes.deployment import Deployment
from runtime.supervisor.processes.process import CPU_EXCEEDED, Process
from runtime.values import stream_mark
from runtime.wire import ChannelClosed, RemoteError

T = TypeVar("T")
Current = Callable[[str], Awaitable[Deployment]]
AtHand = Callable[[str], Deployment | None]
CODE_UPDATED = "its code was updated"
_TRIES = 5  # versions that may follow each other while one call waits


class Residence:
    """One worker's. ``current(worker)``: the version that answers now; ``at_hand``: the same, if there is one."""

    def __init__(self, worker: str, current: Current, at_hand: AtHand) -> None:
        self._worker, self._current, self._at_hand, self._lock = worker, current, at_hand, asyncio.Lock()
        self._deployment: Deployment | None = None

    async def ask(self, method: str, args: Sequence[Any]) -> object:
        """As ``ProductContext.reside``."""
        return await self._limited(partial(_asked, method=method, args=args))

    async def rehouse(self) -> None:
        """As of ``ProductContext``."""
        if self._deployment is not None and self._deployment.resident is not None:
            await self._deployment.resident.renew()

    def begin(self, *, requests: bool = False) -> Begun | None:
        """As ``calls.call.Callee``."""
        deployment = self._deployment
        if requests or deployment is None or deployment is not self._at_hand(self._worker):
            return None
        if deployment.resident is None:
            return None
        if (process := deployment.resident.at_hand) is None or _is_full(deployment, process):
            return None
        return Begun(process.broker.stubs, _nothing, partial(_told, deployment, process), deployment.limits)

    async def call(self, call: Call) -> Answer:
        """As ``calls.call.Callee``: a method of one of its objects."""
        try:
            return await self._limited(partial(_called, call=call))
        except (IsolateLost, LimitExceeded) as error:
            raise lost(error) from None

    async def request(self, request: ServiceRequest) -> ServiceAnswer:
        """What it keeps answers requests by ``ask``."""
        raise CallError("TypeError", "a call that is none")

    async def _limited(self, work: Callable[[Deployment, Process], Awaitable[T]]) -> T:
        deployment, process = await self._process()
        limits = deployment.limits
        if limits is not None and _is_full(deployment, process):
            raise too_many(limits.concurrent)
        async with Deadline(limits.wall_s) if limits is not None else nullcontext():
            try:
                return await work(deployment, process)
            except (ChannelClosed, RemoteError) as error:
                raise await _failed(deployment, process, error) from None

    async def _process(self) -> tuple[Deployment, Process]:
        for _ in range(_TRIES):
            deployment = await self._current(self._worker)
            if deployment is not self._deployment:
                await self._move()
            elif deployment.resident is None:
                remedy = "Serve a version of it that has the class."
                raise UserError("keeps nothing between requests", where=self._worker, remedy=remedy)
            else:
                try:
                    return deployment, await deployment.resident.serving()
                except IsolateLost:
                    if deployment.resident.held:
                        raise
        raise IsolateLost("the worker's versions follow each other too fast")

    async def _move(self) -> None:
        """To the version that answers now."""
        async with self._lock:
            deployment, old = await self._current(self._worker), self._deployment
            if deployment is old:
                return
            if old is not None and old.resident is not None:
                await old.resident.stop()
            if deployment.resident is not None:
                deployment.resident.held = True
            self._deployment = deployment


class Residences:
    """By worker. ``current(worker)``: the version that answers now; raises UserError when there is none. ``at_hand``:
    the same, if there is one."""

    def __init__(self, current: Current, at_hand: AtHand) -> None:
        self._current, self._at_hand = current, at_hand
        self._by_worker: dict[str, Residence] = {}

    async def __call__(self, worker: str, method: str, args: Sequence[Any]) -> object:
        return await (await self.find(worker)).ask(method, args)

    async def rehouse(self, worker: str) -> None:
        if (residence := self._by_worker.get(worker)) is not None:
            await residence.rehouse()

    async def find(self, worker: str) -> Residence:
        residence = self._by_worker.get(worker)
        if residence is None:
            await self._current(worker)  # or any name at all would be kept
            residence = self._by_worker.setdefault(worker, Residence(worker, self._current, self._at_hand))
        return residence

    def at_hand(self, worker: str) -> Residence | None:
        """The same, if it has been asked before."""
        return self._by_worker.get(worker)


async def _called(deployment: Deployment, process: Process, call: Call) -> Answer:
    with called.spanned(call.caller.span, f"object {call.label}") as span:
        return await called.call(process.broker.stubs, CallActivity(call, span), call)


async def _asked(deployment: Deployment, process: Process, method: str, args: Sequence[Any]) -> object:
    activity, at_work, offered = EventActivity(method), process.broker.at_work, list[int]()
    at_work.begin(activity)
    try:
        sent = [_sent(process, arg, offered) for arg in args]
        answer = await process.channel.call("resident", activity.number, method, sent)
        return _answer(process, answer, activity.number)
    except asyncio.CancelledError:
        for number in activity.lent:
            process.channel.discard(number)
        raise
    finally:
        for number in offered:
            process.channel.discard(number)
        at_work.end(activity)


def _sent(process: Process, arg: Any, offered: list[int]) -> Any:
    if not isinstance(arg, AsyncIterator):
        return arg
    offered.append(number := process.channel.offer(arg))
    return stream_mark("mine", number)


def _answer(process: Process, answer: object, event: int) -> object:
    """What a process answered, which may be anything. Raises IsolateLost."""
    match answer:
        case ["value", value]:
            return value
        case ["stream", "mine", int(number), dict(meta)]:
            return HostStream(process.channel.read(number), meta)
        case ["stream", "yours", int(number), dict(meta)]:
            if (source := process.channel.adopt(number)) is not None:
                return HostStream(source, meta)
            remedy = "Return a stream to one caller only."
            raise UserError("the stream was already used", where="an object's answer", remedy=remedy)
        case ["socket", int(number), dict(meta)]:
            hold = meta.pop("hold", None)
            return HostSocket(process.broker.sockets.given(number, event, hold), meta)
    raise IsolateLost("the worker's process sent an answer that is none")


def _nothing() -> None:
    """What is in hand of it stands in its ``at_work``."""


def _is_full(deployment: Deployment, process: Process) -> bool:
    limits = deployment.limits
    return limits is not None and len(process.broker.at_work.activities) >= limits.concurrent


async def _told(deployment: Deployment, process: Process, error: Exception) -> Exception:
    """What the caller of an object is told."""
    failed = await _failed(deployment, process, error)
    return lost(failed) if isinstance(failed, IsolateLost | LimitExceeded) else failed


async def _failed(deployment: Deployment, process: Process, error: Exception) -> Exception:
    if isinstance(error, ChannelClosed):
        return await _ended(deployment, process)
    if isinstance(error, RemoteError) and error.name == CPU_EXCEEDED and deployment.limits is not None:
        return cpu_exceeded(deployment.limits.cpu_ms)
    return error


async def _ended(deployment: Deployment, process: Process) -> Exception:
    if process.leaving:
        return IsolateLost(CODE_UPDATED)
    how = await process.kill()
    if process.spent and deployment.limits is not None:
        return cpu_exceeded(deployment.limits.cpu_ms)
    if process.channel.excess is not None:
        return ended(process.channel.excess)
    return IsolateLost(f"the process of the worker's objects ended: {how}")


def lost(error: IsolateLost | LimitExceeded) -> CallError:
    """As whoever called an object catches it: what was in its memory is gone, and whether what was asked for was done,
    nobody knows."""
    if isinstance(error, LimitExceeded):
        return CallError("Error", error.what, remote=True, durableObjectReset=True)
    text = f"Durable Object reset because {CODE_UPDATED}." if error.what == CODE_UPDATED else "Network connection lost."
    return CallError("Error", text, remote=True, retryable=True, durableObjectReset=True)


__all__ = ["CODE_UPDATED", "Residence", "Residences", "lost"]
