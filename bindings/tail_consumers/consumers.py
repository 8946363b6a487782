"""Trace items on their way to the ``tail`` of other workers.

Each consumer has a queue of its own, in memory and bounded, and is handed a batch at a time: who is slow holds up
nobody, and loses what does not fit. What is lost is counted, and told of. Nothing is tried again, as upstream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import Event, ProductContext
from bindings.messages import TraceItem
from runtime.errors import ScriptError, UserError

_GATHER_S = 0.05  # seconds from an item to its batch: what comes meanwhile goes with it
_MAX_BATCH, _MAX_BATCH_BYTES = 100, 1 << 20
_MAX_WAITING, _MAX_WAITING_BYTES = 1_000, 16 << 20
_MAX_ITEM_BYTES = 256 << 10  # of one with all its lines; upstream's, of one request's logs


class Consumer:
    """One worker's ``tail``, and what waits for it."""

    def __init__(self, context: ProductContext, worker: str) -> None:
        self._context, self.worker = context, worker
        self.delivered = self.lost = self._unsaid = self._bytes = 0
        self._waiting: deque[tuple[int, TraceItem]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._said = ""  # why the last batch was lost

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def offer(self, item: TraceItem) -> None:
        item, size = _fitting(item)
        if len(self._waiting) >= _MAX_WAITING or self._bytes + size > _MAX_WAITING_BYTES:
            return self._lose(1)
        self._waiting.append((size, item))
        self._bytes += size
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._lose(len(self._waiting))
        self._waiting.clear()
        self._tell()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(_GATHER_S)
                await self._hand_over(self._batch())
                self._tell()
        finally:
            self._task = None

    async def _hand_over(self, batch: list[TraceItem]) -> None:
        event = Event("tail", "bindings.tail_consumers.items:TraceItems", {"items": batch})
        try:
            await self._context.dispatch(self.worker, event)
        except UserError as error:
            self._lose(len(batch))
            self._failed(error)
        except asyncio.CancelledError:
            self._lose(len(batch))
            raise
        except Exception as error:  # ours: the next batch is another matter
            self._lose(len(batch))
            self._context.observer.fault(error)
        else:
            self.delivered += len(batch)
            self._said = ""

    def _batch(self) -> list[TraceItem]:
        batch: list[TraceItem] = []
        size = 0
        while self._waiting and len(batch) < _MAX_BATCH and (not batch or size < _MAX_BATCH_BYTES):
            bytes_, item = self._waiting.popleft()
            batch.append(item)
            size += bytes_
        self._bytes -= size
        return batch

    def _lose(self, count: int) -> None:
        self.lost += count
        self._unsaid += count

    def _failed(self, error: UserError) -> None:
        """Said once, until it works again or fails otherwise."""
        if str(error) == self._said:
            return
        self._said = str(error)
        if isinstance(error, ScriptError):
            self._context.observer.script_error(error, self.worker)
        else:
            self._context.observer.error(f"tail_consumers: {error}", self.worker)

    def _tell(self) -> None:
        if self._unsaid:
            items = "1 trace item is" if self._unsaid == 1 else f"{self._unsaid} trace items are"
            self._context.observer.warn(f"{self.worker}: {items} lost: its tail has not dealt with them")
        self._unsaid = 0


class Consumers:
    """Who is told of whom: a ``TraceReader``."""

    def __init__(self, context: ProductContext) -> None:
        self._context = context
        self._of: dict[str, Sequence[Consumer]] = {}  # by the producer's name
        self._known: dict[str, Consumer] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def connect(self, producer: str, services: Sequence[str]) -> None:
        self._of.pop(producer, None)
        if services:
            self._of[producer] = [self._consumer(name) for name in dict.fromkeys(services)]
        used = {consumer.worker for consumers in self._of.values() for consumer in consumers}
        for name in self._known.keys() - used:
            task = asyncio.create_task(self._known.pop(name).aclose())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def wants(self, worker: str) -> bool:
        return worker in self._of

    def take(self, worker: str, item: TraceItem) -> None:
        """What a consumer prints by itself is not told of: its ``tail`` may have printed it, and that would have no
        end."""
        if item["event"] is None and worker in self._known:
            return
        for consumer in self._of[worker]:
            consumer.offer(item)

    def rows(self) -> list[Mapping[str, Any]]:
        return [self._row(name, consumer) for name, consumer in self._known.items()]

    async def aclose(self) -> None:
        await asyncio.gather(*(consumer.aclose() for consumer in self._known.values()), *self._leaving)

    def _consumer(self, name: str) -> Consumer:
        return self._known.setdefault(name, Consumer(self._context, name))

    def _row(self, name: str, consumer: Consumer) -> Mapping[str, Any]:
        of = sorted(producer for producer, consumers in self._of.items() if consumer in consumers)
        counts = {"delivered": consumer.delivered, "lost": consumer.lost, "waiting": consumer.waiting}
        return {"worker": name, "of": ", ".join(of), **counts}


def _fitting(item: TraceItem) -> tuple[TraceItem, int]:
    """(the item, with as many of its lines as fit; its bytes). Others read the item too: it is not changed."""
    size = len(msgspec.json.encode(item))
    if size <= _MAX_ITEM_BYTES:
        return item, size
    logs = list(item["logs"])
    while logs and size > _MAX_ITEM_BYTES:
        size -= len(msgspec.json.encode(logs.pop()))
    return {**item, "logs": logs, "truncated": True}, size


__all__ = ["Consumer", "Consumers"]
