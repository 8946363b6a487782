"""A deployment: one version of one worker, its bindings, and the isolates that run it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from bindings.base import Binding, Event, Resident
from bindings.messages import Undelivered
from bindings.responder import Responder
from runtime.config import Config
from runtime.errors import ScriptError
from runtime.supervisor.calls import ahead, called
from runtime.supervisor.calls.call import Answer, Begun, Call, ServiceAnswer, ServiceRequest
from runtime.supervisor.calls.called import CallActivity
from runtime.supervisor.calls.stubs import Stubs
from runtime.supervisor.http.dispatch import Answered, Serve
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.limits import Deadline, Limits, event_wall_exceeded, too_many
from runtime.supervisor.processes.asking.at_once import AtOnce
from runtime.supervisor.processes.asking.in_a_task import BegunAnswer, answered, dealt_with, exchanged
from runtime.supervisor.processes.parts import Parts
from runtime.supervisor.processes.process import CPU_EXCEEDED, Process, Starter, died, failure
from runtime.supervisor.processes.slot import IsolateSlot, ResidentSlot
from runtime.supervisor.processes.spawning import STOP_GRACE_S
from runtime.supervisor.processes.uploads import Uploads
from runtime.tracing import NO_SPAN
from runtime.wire import ChannelClosed, RemoteError

T = TypeVar("T")
Asked = TypeVar("Asked", Call, ServiceRequest)


class Deployment:
    """Open it, ``fetch`` through it, ``retire`` it: its requests and ``waitUntil`` tasks finish first."""

    def __init__(
        self,
        version: int,
        config: Config,
        bindings: Sequence[Binding],
        parts: Parts,
        responders: Sequence[Responder] = (),
        resident: Resident | None = None,
    ) -> None:
        self.version, self.config, self.bindings, self._responders = version, config, bindings, responders
        self._work, self._facts = f"worker {config.name}", {"pilot.version": version}
        self._limits = parts.limits
        self._starter = Starter(config, bindings, parts, self)
        self.slots = [IsolateSlot(self._starter) for _ in range(parts.isolates if config.main else 0)]
        self.resident: ResidentSlot | None = None
        if resident is not None and config.main:
            self._kept = Starter(config, bindings, parts, self, resident)
            self.resident = ResidentSlot(self._kept)
        self._active = 0
        self._events: list[Event] = []  # in hand
        self._uploads = Uploads(parts.limits)
        self._idle: asyncio.Future[None] | None = None  # once somebody waits for that
        self.closers: list[Callable[[], Awaitable[None]]] = []

    @property
    def isolates(self) -> int:
        """Processes that live, those that begin or end among them."""
        return len(self._starter.living) + (len(self._kept.living) if self.resident is not None else 0)

    @property
    def watched(self) -> list[IsolateSlot]:
        """The places of processes that are to live."""
        kept = self.resident
        return [*self.slots, kept] if kept is not None and kept.held and kept.process is not None else self.slots

    @property
    def limits(self) -> Limits | None:
        """Of this version; None: it has none."""
        return self._limits

    async def open(self) -> None:
        """Start the isolates with this version's code. Raises ``ScriptError`` when the script does not load."""
        for slot in self.slots[:1]:
            await slot.serving()  # a script that does not load says so once
        await asyncio.gather(*(slot.serving() for slot in self.slots[1:]))

    def fetch(self, exchange: Exchange) -> Awaitable[None]:
        """Serve one request, start to end."""
        bare = self._limits is None and not self._responders
        return self._fetch(exchange) if bare else self._fetch_within(exchange)

    def ask(self, exchange: Exchange, told: Answered, serve: Serve) -> bool:
        """As ``dispatch.Ready``. Raises RequestError for a head that is refused."""
        if self._limits is not None or self._responders or len(self.slots) != 1:
            return False
        slot = self.slots[0]
        process = slot.process
        if process is None or not process.channel.is_open:
            return False
        AtOnce(self, slot, process, exchange, told, serve)
        return True

    async def go_on(
        self, slot: IsolateSlot, process: Process, exchange: Exchange, answer: Awaitable[Any] | BegunAnswer
    ) -> None:
        """What ``AtOnce`` has begun and cannot end."""
        try:
            await answered(process, exchange, answer, self._limits)
        finally:
            self.ends(slot)

    async def _fetch_within(self, exchange: Exchange) -> None:
        """The limits; and what is answered ahead of the worker."""
        if self._responders and await ahead.answered(self._responders, exchange):
            return
        if self._limits is None:
            return await self._fetch(exchange)
        self._admit(self._limits)
        if exchange.inbound.done:
            async with Deadline(self._limits.wall_s):
                return await self._fetch(exchange)
        with self._uploads.place(exchange):
            async with Deadline(self._limits.wall_s):
                await self._fetch(exchange)

    async def handle(self, event: Event) -> object:
        """The outcome of an event that is no request. Raises ``ScriptError``, ``Undelivered``; a request's limits hold
        for it, but for its time: it has an end in dev too, unless whoever dispatches it sees to that."""
        if self._limits is not None and self._active >= self._limits.concurrent:
            raise Undelivered(str(too_many(self._limits.concurrent)))
        if not event.timed:
            return await self._handle(event)
        async with Deadline(self._event_wall_s(), event_wall_exceeded):
            return await self._handle(event)

    def begin(self, *, requests: bool = False) -> Begun | None:
        """As ``calls.call.Callee``."""
        limits = self._limits
        if not self.slots or (requests and self._responders):
            return None
        if limits is not None and self._active >= limits.concurrent:
            return None
        slot = self._slot()
        if (process := slot.process) is None or not process.channel.is_open:
            return None
        self.begins(slot)
        return Begun(process.broker.stubs, partial(self.ends, slot), partial(self._failed, process), limits)

    async def call(self, call: Call) -> Answer:
        """As ``calls.call.Callee``; the limits of a request hold for it, as for the next."""
        if self._limits is None:
            return await self._called(call, called.call)
        return await self._limited(partial(self._called, call, called.call))

    async def request(self, request: ServiceRequest) -> ServiceAnswer:
        if self._responders and (found := await ahead.answered_service(self._responders, request)) is not None:
            return found
        return await self._limited(partial(self._called, request, partial(called.request, limits=self._limits)))

    async def _limited(self, work: Callable[[], Awaitable[T]]) -> T:
        if self._limits is None:
            return await work()
        self._admit(self._limits)
        async with Deadline(self._limits.wall_s):
            return await work()

    def _event_wall_s(self) -> int:
        if self._limits is not None:
            return self._limits.event_wall_s
        return max(1, int(self.config.limits.get("event_wall_s", Limits().event_wall_s)))

    def _admit(self, limits: Limits) -> None:
        if self._active >= limits.concurrent:
            raise too_many(limits.concurrent)

    async def _fetch(self, exchange: Exchange) -> None:
        slot, outer = self._slot(), exchange.span
        self.begins(slot)
        if outer is not NO_SPAN:
            exchange.span = outer.child(self._work, attributes=self._facts)
        try:
            process = slot.process
            if process is None or not process.channel.is_open:
                process = await slot.serving()
            await exchanged(process, exchange, self._limits)
        finally:
            if outer is not NO_SPAN:
                exchange.span.end(sys.exception())
                exchange.span = outer
            self.ends(slot)

    async def _handle(self, event: Event) -> object:
        slot = self._slot()
        self.begins(slot)
        self._events.append(event)
        try:
            with Undelivered.instead(ScriptError):
                process = await slot.serving()
            return await dealt_with(process, event, self.bindings, self._limits)
        finally:
            self._events.remove(event)
            self.ends(slot)

    async def _called(self, asked: Asked, ask: Callable[[Stubs, CallActivity, Asked], Awaitable[T]]) -> T:
        """What a process answers to another worker."""
        slot = self._slot()
        self.begins(slot)
        process: Process | None = None
        try:
            with called.spanned(asked.caller.span, f"{self._work} {asked.label}", self._facts) as span:
                process = slot.process
                if process is None or not process.channel.is_open:
                    process = await slot.serving()
                return await ask(process.broker.stubs, CallActivity(asked, span), asked)
        except (ChannelClosed, RemoteError) as error:
            assert process is not None
            raise await self._failed(process, error) from None
        finally:
            self.ends(slot)

    async def _failed(self, process: Process, error: Exception) -> Exception:
        """What a caller is told of what has become of its call."""
        if isinstance(error, ChannelClosed):
            return await died(process, self._limits)
        is_spent = isinstance(error, RemoteError) and error.name == CPU_EXCEEDED
        return failure(cast(RemoteError, error), self._limits) if is_spent else error

    def begins(self, slot: IsolateSlot) -> None:
        self._active += 1
        slot.active += 1

    def ends(self, slot: IsolateSlot) -> None:
        slot.active -= 1
        self._active -= 1
        if self._idle is not None and not self._active and not self._idle.done():
            self._idle.set_result(None)

    async def retire(self) -> None:
        """Let go once everything this version began is done, or at once when this is cancelled."""
        for event in list(self._events):
            if event.leaving is not None:
                event.leaving()
        grace_s = self.config.pilot.wait_until + STOP_GRACE_S
        kept = [self.resident.retire(grace_s)] if self.resident is not None else []
        try:
            await asyncio.gather(self._retire_slots(grace_s), *kept)
        except asyncio.CancelledError:
            await self.aclose()
            raise

    async def _sockets_closed(self, within: float) -> None:
        """Those of this version stay with it, but not for ever."""
        open_ = [process.broker.sockets.empty.wait() for process in self._starter.living if process.alive]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(*open_)

    async def _retire_slots(self, grace_s: float) -> None:
        while self._active:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle
        await self._sockets_closed(self.config.pilot.drain)
        await asyncio.gather(*(slot.retire(grace_s) for slot in self.slots), *(close() for close in self.closers))

    async def aclose(self) -> None:
        kept = [self.resident] if self.resident is not None else []
        await asyncio.gather(*(slot.aclose() for slot in (*self.slots, *kept)), *(close() for close in self.closers))

    def _slot(self) -> IsolateSlot:
        """Where the fewest requests are; one whose process has died only when there is no other."""
        if not self.slots:
            raise ScriptError("there is no script that could deal with it")
        if len(self.slots) == 1:
            return self.slots[0]
        return min(self.slots, key=lambda slot: (not slot.alive, slot.active))


__all__ = ["Deployment"]
