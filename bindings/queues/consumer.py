"""A queue's consumer: it makes batches, has the worker deal with them, and does what comes of it.

A batch that the worker fails is tried again as the subscription says, then it is a dead letter or dropped. What is not
the worker's failure costs no attempt: while no version answers nothing is tried at all, and a batch whose process ended
half-way comes again, up to ten times; then it counts, lest one that kills its process does so for ever.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from bindings.base import Event, ProductContext
from bindings.messages import Undelivered
from bindings.queues.binding import metrics
from bindings.queues.queue import Queue, now_ms
from bindings.queues.shapes import Delay, Refused, Subscription
from bindings.queues.store import Message
from bindings.sqlite import StoreError
from runtime.errors import PilotError, ScriptError, UserError
from runtime.supervisor.observe.report import Report

_MAX_BYTES = 4 * 1024 * 1024  # of a batch: it goes over in one message
_MAX_LOST = 10
_PAUSES_S = (0.1, 10.0)  # seconds until it is tried again when nobody answers: at first, at most
_UNSETTLED = 32  # batches whose outcome is on its way to the disk

Again = Delay | str | bool


class Outcome(msgspec.Struct, frozen=True):
    """What a worker's process says of a batch: as ``bindings.queues.batch`` makes it."""

    all: Again
    some: dict[str, Again]


_FAILED = Outcome("", {})


class Consumer:
    """``subscription`` may be changed at any time: the next batch is by it. ``dead(name)``: a dead letter queue.
    ``lapsed()``: nobody answers; whether the worker is gone for good."""

    def __init__(
        self,
        queue: Queue,
        subscription: Subscription,
        context: ProductContext,
        dead: Callable[[str], Queue],
        lapsed: Callable[[], Awaitable[bool]],
    ) -> None:
        self.queue, self.subscription = queue, subscription
        self._context, self._dead, self._lapsed = context, dead, lapsed
        self._report = Report(f"QUEUE {queue.name}", context.observer.note)
        self._lost: dict[int, int] = {}  # number → how often its process has ended
        self._batches: set[asyncio.Task[None]] = set()
        self._settling: set[asyncio.Future[Any]] = set()
        self._free = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def aclose(self, now: bool = True) -> None:
        """``now``: not even what is in the worker's hands is waited for."""
        self._task.cancel()
        if now:
            for batch in self._batches:
                batch.cancel()
        await asyncio.gather(self._task, *self._batches, return_exceptions=True)
        self._report.close()

    async def _run(self) -> None:
        while not self.queue.gone:
            try:
                await self._next()
            except Exception as error:  # the disk, or ours: the queue goes on
                self._tell(error)
                await asyncio.sleep(_PAUSES_S[1])

    async def _next(self) -> None:
        while len(self._batches) >= self.subscription.concurrency:
            self._free.clear()
            await self._free.wait()
        how = self.subscription
        messages = await self.queue.batch(how.batch_size, how.wait_s, _MAX_BYTES)
        if messages:
            batch = asyncio.create_task(self._deliver(messages, how))
            self._batches.add(batch)
            batch.add_done_callback(self._over)

    def _over(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._free.set()
        if not batch.cancelled() and (error := batch.exception()) is not None:
            self._tell(error)

    async def _deliver(self, messages: Sequence[Message], how: Subscription) -> None:
        began = time.monotonic()
        try:
            outcome = await self._dispatched(messages, how)
        except Undelivered as error:
            return self._come_again(messages, str(error))
        except UserError as error:
            outcome = _FAILED
            self._tell(error)
        for message in messages:
            self._lost.pop(message.seq, None)
        failed = await self._settle(messages, outcome, how)
        self._report.batch(len(messages) - failed, len(messages), time.monotonic() - began)

    async def _dispatched(self, messages: Sequence[Message], how: Subscription) -> Outcome:
        """Raises Undelivered once the worker's process has ended under it, other UserErrors when the worker fails."""
        event = await self._event(messages)
        pause = _PAUSES_S[0]
        while True:
            try:
                return _outcome(await self._context.dispatch(how.worker, event))
            except Undelivered as error:
                if error.begun or self.queue.gone:
                    raise
                if await self._lapsed():
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSES_S[1])

    async def _event(self, messages: Sequence[Message]) -> Event:
        rows = [[one.id, one.sent, one.failed + 1, one.type, one.body] for one in messages]
        args = {"queue": self.queue.name, "messages": rows, "metrics": metrics(await self.queue.totals())}
        about = {"queue": self.queue.name, "batchSize": len(messages)}
        return Event("queue", "bindings.queues.batch:MessageBatch", args, about=about)

    def _come_again(self, messages: Sequence[Message], why: str) -> None:
        """Its process has ended, or nobody is left to ask: the same again, soon."""
        again = []
        for message in messages:
            lost = self._lost[message.seq] = self._lost.get(message.seq, 0) + 1
            wait_ms = int(1000 * min(_PAUSES_S[0] * 2 ** min(lost - 1, 10), _PAUSES_S[1]))
            counted = message.failed + (lost > _MAX_LOST)
            again.append(message._replace(due=now_ms() + wait_ms, failed=counted))
        what = "message comes" if len(again) == 1 else "messages come"
        self._context.observer.warn(f'{len(again)} {what} again on queue "{self.queue.name}": {why}')
        self._follow(self.queue.settle([], again))

    async def _settle(self, messages: Sequence[Message], outcome: Outcome, how: Subscription) -> int:
        """How many were not acknowledged."""
        failed = {one.seq: delay for one in messages if (delay := _again(outcome, one, how)) is not None}
        now = now_ms()
        again = [
            one._replace(failed=one.failed + 1, due=now + 1000 * failed[one.seq])
            for one in messages
            if one.seq in failed and one.failed + 1 < how.attempts
        ]
        dead = [one for one in messages if one.seq in failed and one.failed + 1 >= how.attempts]
        kept = await self._buried(dead, how) if dead else []
        away = {one.seq for one in (*again, *kept)}
        while len(self._settling) >= _UNSETTLED:
            await asyncio.wait(self._settling, return_when=asyncio.FIRST_COMPLETED)
        self._follow(self.queue.settle([one for one in messages if one.seq not in away], [*again, *kept]))
        return len(failed)

    async def _buried(self, dead: Sequence[Message], how: Subscription) -> list[Message]:
        """To the dead letter queue, or nowhere; those that it would not take, to be tried again."""
        tried = f"{how.attempts} failed attempt{'' if how.attempts == 1 else 's'}"
        warn, name, target = self._context.observer.warn, self.queue.name, how.dead_letter_queue
        if target is None:
            for one in dead:
                warn(f'Dropped message "{one.id}" on queue "{name}" after {tried}!')
            return []
        for one in dead:
            warn(f'Moving message "{one.id}" on queue "{name}" to dead letter queue "{target}" after {tried}...')
        now = now_ms()
        try:
            await self._dead(target).accept([one._replace(due=now, failed=0) for one in dead])
        except (Refused, PilotError, OSError) as error:
            warn(f'The dead letter queue "{target}" takes nothing: {error}')
            return [one._replace(due=now + int(1000 * _PAUSES_S[1])) for one in dead]
        return []

    def _follow(self, settling: asyncio.Future[list[object]]) -> None:
        self._settling.add(settling)
        settling.add_done_callback(self._settled)

    def _settled(self, done: asyncio.Future[list[object]]) -> None:
        self._settling.discard(done)
        if not done.cancelled() and (error := done.exception()) is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        observer = self._context.observer
        if isinstance(error, ScriptError):
            observer.script_error(error, self.subscription.worker)
        elif isinstance(error, StoreError | UserError):
            observer.error(f'queue "{self.queue.name}": {error}', self.subscription.worker)
        else:
            observer.fault(error)


def _outcome(given: object) -> Outcome:
    """What a process answered, which may be anything. Raises ScriptError."""
    with suppress(msgspec.ValidationError):
        return msgspec.convert(given, Outcome)
    raise ScriptError("the worker's process sent an outcome that is none, or a delay of more than a day")


def _again(outcome: Outcome, message: Message, how: Subscription) -> int | None:
    """Seconds until it is tried again; None: it is acknowledged."""
    one = outcome.some.get(message.id, outcome.all)
    if one is False:
        return None
    for delay in (one, outcome.all):
        if isinstance(delay, int) and not isinstance(delay, bool):
            return delay
    return how.retry_delay


__all__ = ["Consumer"]
