"""Who consumes which queue: of workers whose configuration is a file here, as that says; on a host, as was asked for
over the API, and kept with the queue. A queue has one consumer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from bindings.base import ProductContext
from bindings.queues.consumer import Consumer
from bindings.queues.queue import Queue
from bindings.queues.shapes import Subscription
from bindings.storage.resources import Resources
from runtime.errors import UserError

_LOOK_S = 1.0  # seconds between two looks whether a command has changed a queue
_SWEEP_S = 3600.0  # seconds between two sweeps of what has waited too long
_FACT = "consumer"


class Consumers:
    """Of one supervisor."""

    def __init__(self, context: ProductContext, resources: Resources[Queue]) -> None:
        self._context, self._resources = context, resources
        self._consumers: dict[str, Consumer] = {}  # by queue
        self._local: dict[str, dict[str, Subscription]] = {}  # a configuration → its subscriptions
        self._leaving: set[asyncio.Task[None]] = set()
        self._tasks = [asyncio.create_task(self._look()), asyncio.create_task(self._sweep())]

    async def aclose(self) -> None:
        for task in (*self._tasks, *self._leaving):
            task.cancel()
        ends = [consumer.aclose() for consumer in self._consumers.values()]
        await asyncio.gather(*self._tasks, *self._leaving, *ends, return_exceptions=True)

    def of(self, queue: str) -> Subscription | None:
        found = self._consumers.get(queue)
        return found.subscription if found is not None else None

    def in_flight(self, queue: str) -> int:
        found = self._consumers.get(queue)
        return found.queue.in_flight if found is not None else 0

    # Files here

    def configure(self, file: str, wanted: Mapping[str, Subscription]) -> None:
        """What the worker of this file consumes, and nothing else from now on. Raises UserError: another one does."""
        for queue in wanted:
            others = [has[queue].worker for name, has in self._local.items() if queue in has and name != file]
            if others:
                what = f"the queue {queue!r} has a consumer already: the worker {others[0]!r}"
                raise UserError(what, where=file, remedy="Take it from one of them: [[queues.consumers]].")
        for queue in self._local.get(file, {}).keys() - wanted.keys():
            self._end(queue)
        self._local[file] = dict(wanted)
        for queue, subscription in wanted.items():
            self._begin(queue, subscription)

    # A host

    def restore(self) -> None:
        """Those that are kept."""
        for about in self._resources.all():
            if (kept := about.facts.get(_FACT)) is not None:
                self._begin(about.id, msgspec.convert(kept, Subscription))

    def subscribe(self, queue: str, subscription: Subscription) -> Subscription:
        """In place of the one it has. Raises UserError: it cannot be kept."""
        old = self.of(queue)
        id, created = (old.id, old.created) if old and old.id else (secrets.token_hex(16), _now())
        kept = msgspec.structs.replace(subscription, id=id, created=created)
        self._describe(queue, kept)
        self._begin(queue, kept)
        return kept

    def unsubscribe(self, queue: str) -> None:
        """Raises UserError."""
        self._describe(queue, None)
        self._end(queue)

    def removed(self, queue: str) -> None:
        """The queue is no more."""
        self._end(queue)

    def _describe(self, queue: str, kept: Subscription | None) -> None:
        about = self._resources.about(queue)
        if about is None:
            return
        facts: dict[str, Any] = {name: fact for name, fact in about.facts.items() if name != _FACT}
        if kept is not None:
            facts[_FACT] = msgspec.to_builtins(kept)
        self._resources.describe(msgspec.structs.replace(about, facts=facts))

    # Both

    def _begin(self, queue: str, subscription: Subscription) -> None:
        if subscription.dead_letter_queue is not None:
            self._resources.get(subscription.dead_letter_queue)  # it is there from now on
        found = self._consumers.get(queue)
        if found is not None and not found.queue.gone:
            found.subscription = subscription
            return
        lapsed = partial(self._lapsed, queue, subscription.worker)
        target = self._resources.get(queue)
        self._consumers[queue] = Consumer(target, subscription, self._context, self._resources.get, lapsed)

    def _end(self, queue: str) -> None:
        """What is in the worker's hands is dealt with to its end."""
        if (found := self._consumers.pop(queue, None)) is not None:
            task = asyncio.create_task(found.aclose(now=False))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _lapsed(self, queue: str, worker: str) -> bool:
        """Whether the worker was deleted: then the queue has no consumer any more."""
        registry = self._context.registry
        if registry is None or await asyncio.to_thread(registry.settings, worker) is not None:
            return False
        self._context.observer.warn(f'the queue "{queue}" has no consumer any more: {worker} was deleted')
        self.unsubscribe(queue)
        return True

    async def _look(self) -> None:
        """In dev a command works on the files beside this process; on a host it asks the host."""
        while not self._context.on_host:
            await asyncio.sleep(_LOOK_S)
            for consumer in list(self._consumers.values()):
                try:
                    await consumer.queue.notice()
                except Exception as error:
                    self._context.observer.error(f'queue "{consumer.queue.name}": {error}')

    async def _sweep(self) -> None:
        while True:
            for about in self._resources.all():
                try:
                    if (queue := self._resources.find(about.id)) is not None and (removed := await queue.sweep()):
                        self._context.observer.note(f'{removed} messages on queue "{about.id}" were too old')
                except Exception as error:
                    self._context.observer.error(f'queue "{about.id}": {error}')
            await asyncio.sleep(_SWEEP_S)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def consumers(context: ProductContext, resources: Resources[Queue]) -> Consumers:
    """The supervisor's."""
    found: Any = context.shared.get("queues.consumers")
    if found is None:
        found = context.shared["queues.consumers"] = Consumers(context, resources)
    assert isinstance(found, Consumers)
    return found


__all__ = ["Consumers", "consumers"]
