"""One queue: its messages on disk, and those that are ready to be handed out in memory.

Theory of operation
-------------------
The disk is the truth; a send is acknowledged once it is there. A message that is due goes through memory: ``ready`` has
up to a thousand of them, in order, so that neither a batch nor a send asks the disk for what was just written. ``held``
are the numbers of those that are ready or in a consumer's hands: no look at the disk finds them a second time. Where
memory does not know all that is due (``behind``: after a start, after more than it has room for, when a delay is over,
when another process has written), the next batch looks. What memory forgets, because the process ends, is on the disk
still, with its attempts: it is handed out again. So nothing is lost, and a message may come twice.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from bindings.queues.shapes import NewMessage, QueueSettings
from bindings.queues.store import Message, QueueStore, Totals
from bindings.storage import clock
from bindings.storage.clock import now_ms
from bindings.storage.resources import About

MAX_READY, MAX_READY_BYTES = 1000, 8 * 1024 * 1024  # in memory
MAX_BYTES = 1024 * 1024 * 1024  # on disk, unless [pilot] queue_size says otherwise


class Bound(Protocol):
    """A producer's binding."""

    worker: str


class Queue:
    """``folder`` is its own."""

    def __init__(self, folder: Path, about: About) -> None:
        self.about, self._store = about, QueueStore(folder, MAX_BYTES)
        self._settings: QueueSettings | None = None
        self._ready: deque[tuple[Message, float]] = deque()  # with when it got here, of the monotonic clock
        self._ready_bytes = 0
        self._held: set[int] = set()
        self._handed: dict[int, int] = {}  # number → bytes, of those in a consumer's hands
        self._handed_bytes = 0
        self._behind, self._unseen = True, 0
        self._next_due: int | None = None
        self._version: int | None = None
        self._woken = asyncio.Event()
        self.gone = False  # it is closed, or removed
        self._bound: WeakSet[Bound] = WeakSet()
        clock.watch(self)

    @property
    def name(self) -> str:
        return self.about.id

    async def clock_moved(self) -> None:
        self._woken.set()

    @property
    def in_flight(self) -> int:
        """Messages in a consumer's hands."""
        return len(self._handed)

    @property
    def producers(self) -> set[str]:
        """Workers that can send to it."""
        return {binding.worker for binding in self._bound}

    def bound(self, binding: Bound) -> None:
        """A worker can send to it, for as long as this binding lives."""
        self._bound.add(binding)

    def keep_at_most(self, bytes_: int) -> None:
        """On disk; more is refused."""
        self._store.max_bytes = bytes_

    async def aclose(self) -> None:
        self.gone = True
        self._woken.set()
        await self._store.aclose()

    async def send(self, messages: Sequence[NewMessage], delay_s: float | None = None) -> Totals:
        """Once they are on disk. Raises Refused when it is full, StoreError."""
        now = now_ms()
        delay = (await self.settings()).delivery_delay if delay_s is None and self._may_delay(messages) else delay_s
        new = [
            Message(0, secrets.token_hex(16), now, now + 1000 * int(_first(one.delay_s, delay)), 0, one.type, one.body)
            for one in messages
        ]
        return await self.accept(new, moved=False)

    async def accept(self, messages: Sequence[Message], moved: bool = True) -> Totals:
        """Messages as they are; one that was ``moved`` here already is left out. Raises as ``send``."""
        numbers, totals = await self._store.put(messages, moved)
        now, room = now_ms(), not self._behind
        for message, number in zip(messages, numbers, strict=True):
            if number and message.due > now:
                self._soonest(message.due)
            elif number and room and self._has_room():
                self._append(message._replace(seq=number))
            elif number:
                self._miss()
        self._woken.set()
        return self._waiting(totals)

    async def totals(self) -> Totals:
        """Of those that wait, delayed ones among them; not of those in a consumer's hands."""
        return self._waiting(await self._store.totals())

    async def delayed(self) -> int:
        """How many of those that wait are not due yet."""
        return await self._store.delayed(now_ms())

    async def peek(self, most: int) -> list[Message]:
        return await self._store.peek(most)

    async def settings(self) -> QueueSettings:
        return self._settings if self._settings is not None else await self._read_settings()

    async def change(self, settings: QueueSettings) -> None:
        await self._store.change(settings)
        self._settings = settings
        self._woken.set()

    async def purge(self) -> int:
        """Remove every message; those in a consumer's hands do not come back."""
        removed = await self._store.purge()
        self._drop_ready()
        self._handed.clear()
        self._held.clear()
        self._handed_bytes = 0
        return removed

    async def sweep(self) -> int:
        """Remove what has waited too long. How many."""
        removed = 0
        while not self.gone and (found := await self._store.sweep(now_ms())):
            removed += found
        return removed

    # For its consumer

    async def batch(self, size: int, wait_s: float, most_bytes: int) -> list[Message]:
        """The next ones, ``size`` at most: as many as there are ``wait_s`` seconds after the first. They are in the
        caller's hands until it calls ``settle``; none: the queue is gone."""
        while not self.gone:
            await self._look(size)
            if (await self.settings()).delivery_paused:
                await self._wait(None, size)
            elif self._ready and (left := self._time_left(size, wait_s, most_bytes)) <= 0:
                return self._take(size, most_bytes)
            else:
                await self._wait(left if self._ready else None, size)
        return []

    def settle(self, done: Collection[Message], again: Sequence[Message]) -> asyncio.Future[list[object]]:
        """These are dealt with; those are due again when they say. The future: on disk."""
        known = [message for message in again if self._given_back(message)]
        for message in done:
            self._given_back(message)
            self._held.discard(message.seq)
        works: list[asyncio.Future[object]] = []
        if done:
            works.append(self._store.remove([message.seq for message in done]))  # type: ignore[arg-type]
        if known:
            works.append(self._store.retry(known))  # type: ignore[arg-type]
        self._again(known)
        return asyncio.gather(*works)

    async def notice(self) -> None:
        """See whether another process has written: what memory has may be out of date. The first time nobody knows."""
        version = await self._store.version()
        if version != self._version:
            self._drop_ready()
            await self._read_settings()
            self._woken.set()
        self._version = version

    # Memory

    def _given_back(self, message: Message) -> bool:
        """Whether it was in a consumer's hands, and has not been purged meanwhile."""
        size = self._handed.pop(message.seq, None)
        self._handed_bytes -= size or 0
        return size is not None

    async def _read_settings(self) -> QueueSettings:
        self._settings = settings = await self._store.settings()
        return settings

    def _may_delay(self, messages: Sequence[NewMessage]) -> bool:
        return any(one.delay_s is None for one in messages)

    def _again(self, messages: Sequence[Message]) -> None:
        now = now_ms()
        for message in messages:
            if message.due <= now and not self._behind and self._has_room():
                self._append(message)
                continue
            self._held.discard(message.seq)
            if message.due > now:
                self._soonest(message.due)
            else:
                self._miss()
        self._woken.set()

    def _append(self, message: Message) -> None:
        self._ready.append((message, time.monotonic()))
        self._ready_bytes += len(message.body)
        self._held.add(message.seq)

    def _has_room(self) -> bool:
        return len(self._ready) < MAX_READY and self._ready_bytes < MAX_READY_BYTES

    def _miss(self) -> None:
        self._behind = True
        self._unseen += 1

    def _soonest(self, due: int) -> None:
        self._next_due = due if self._next_due is None else min(due, self._next_due)

    def _drop_ready(self) -> None:
        self._held.difference_update(message.seq for message, _ in self._ready)
        self._ready.clear()
        self._ready_bytes = 0
        self._miss()

    def _waiting(self, totals: Totals) -> Totals:
        return totals._replace(
            messages=max(0, totals.messages - len(self._handed)), bytes=max(0, totals.bytes - self._handed_bytes)
        )

    def _misses_some(self, size: int) -> bool:
        """Whether a batch of that size may want what memory does not know of."""
        return self._behind and len(self._ready) < size and self._has_room()

    async def _look(self, size: int) -> None:
        """At the disk, where that may have something that is due and memory does not know of."""
        now = now_ms()
        if self._next_due is not None and self._next_due <= now:
            self._next_due = None
            self._miss()
        if not self._misses_some(size):
            return
        unseen, room = self._unseen, MAX_READY - len(self._ready)
        found = await self._store.ready(now, set(self._held), room, MAX_READY_BYTES - self._ready_bytes)
        for message in found.messages:
            if message.seq not in self._held:
                self._append(message)
        if unseen == self._unseen:
            self._behind, self._next_due = found.more, found.next_due

    def _time_left(self, size: int, wait_s: float, most_bytes: int) -> float:
        if len(self._ready) >= size or self._ready_bytes >= most_bytes:
            return 0
        return self._ready[0][1] + wait_s - time.monotonic()

    def _take(self, size: int, most_bytes: int) -> list[Message]:
        taken, bytes_ = list[Message](), 0
        while self._ready and len(taken) < size and (not taken or bytes_ + len(self._ready[0][0].body) <= most_bytes):
            message, _ = self._ready.popleft()
            bytes_ += len(message.body)
            self._handed[message.seq] = len(message.body)
            self._handed_bytes += len(message.body)
            taken.append(message)
        self._ready_bytes -= bytes_
        return taken

    async def _wait(self, seconds: float | None, size: int) -> None:
        """Until something changes, a delay is over, or so many seconds are."""
        self._woken.clear()
        waits = [] if seconds is None else [seconds]
        if self._next_due is not None:
            waits.append((self._next_due - now_ms()) / 1000 + 0.001)
        if self.gone or self._misses_some(size):
            return
        try:
            async with asyncio.timeout(max(0.0, min(waits)) if waits else None):
                await self._woken.wait()
        except TimeoutError:
            pass


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), 0)


__all__ = ["MAX_BYTES", "Queue", "now_ms"]
