"""Queues over Cloudflare's REST API, below ``queues``. A queue's id is its name.

Facts: docs/reference/bindings.md#queues-over-rest. https://developers.cloudflare.com/api/resources/queues/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from bindings.base import ProductContext
from bindings.queues.consumers import consumers
from bindings.queues.product import queues
from bindings.queues.queue import Queue
from bindings.queues.rest.forms import (
    BAD_CONSUMER,
    BAD_MESSAGE,
    BAD_SETTINGS,
    NOT_FOUND,
    TAKEN,
    NewQueue,
    Pushed,
    PushedBatch,
    changed,
    message_of,
    shown_message,
)
from bindings.queues.rest.subscriptions import Subscriptions
from bindings.queues.shapes import NAME, QueueSettings, Refused, checked
from bindings.rest import Api, ApiError, Entry, body_of, number_of, page_of, query_of
from bindings.storage.resources import About, Resources
from runtime.web import Request


class QueuesRest:
    """The handlers, on the queues of a supervisor or of a command."""

    def __init__(self, kept: Resources[Queue], subscriptions: Subscriptions) -> None:
        self._kept, self._subscriptions = kept, subscriptions

    def entries(self) -> list[Entry]:
        one = "{id}"
        return [
            ("GET", "", self.list),
            ("POST", "", self.create),
            ("GET", one, self.get),
            ("PATCH", one, self.change),
            ("PUT", one, self.change),
            ("DELETE", one, self.delete),
            ("GET", f"{one}/metrics", self.metrics),
            ("GET", f"{one}/messages", self.peek),
            ("POST", f"{one}/messages", self.push),
            ("POST", f"{one}/messages/batch", self.push_batch),
            ("POST", f"{one}/messages/pull", self.no_pull),
            ("POST", f"{one}/messages/ack", self.no_pull),
            ("POST", f"{one}/purge", self.purge),
            *self._subscriptions.entries(),
        ]

    # Queues

    async def list(self, request: Request) -> object:
        names = parse_qs(request.url.partition("?")[2]).get("name")
        found = [about for about in self._kept.all() if names is None or about.id in names]
        return page_of([await self._shown(about) for about in found], query_of(request))

    async def create(self, request: Request) -> object:
        given = await body_of(request, NewQueue)
        name = given.queue_name or ""
        if not NAME.fullmatch(name):
            raise ApiError(400, BAD_SETTINGS, f"{name[:100]!r} is no name of a queue: letters, digits, - _ and .")
        if self._kept.about(name) is not None:
            raise ApiError(409, TAKEN, f"Queue name '{name}' is already taken. Please use a different name.")
        queue = self._kept.get(name)
        await queue.change(changed(given.settings, QueueSettings()))
        return await self._shown(queue.about)

    async def get(self, request: Request, id: str) -> object:
        return await self._shown(self._queue(id).about)

    async def change(self, request: Request, id: str) -> object:
        given, queue = await body_of(request, NewQueue), self._queue(id)
        if given.queue_name not in (None, id):
            raise ApiError(400, BAD_SETTINGS, "a queue cannot be renamed here")
        await queue.change(changed(given.settings, await queue.settings()))
        return await self._shown(queue.about)

    async def delete(self, request: Request, id: str) -> object:
        self._queue(id)
        self._subscriptions.removed(id)
        await self._kept.remove(id)
        return None

    async def purge(self, request: Request, id: str) -> object:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return {"started_on": at, "completed": True, "removed": await self._queue(id).purge()}

    async def metrics(self, request: Request, id: str) -> object:
        totals = await self._queue(id).totals()
        return {
            "backlog_count": totals.messages,
            "backlog_bytes": totals.bytes,
            "oldest_message_timestamp_ms": totals.oldest or 0,
            "in_flight": self._queue(id).in_flight,
            "delayed": await self._queue(id).delayed(),
        }

    # Messages

    async def push(self, request: Request, id: str) -> object:
        message = await body_of(request, Pushed)
        return await self._push(id, [message], None)

    async def push_batch(self, request: Request, id: str) -> object:
        batch = await body_of(request, PushedBatch)
        return await self._push(id, batch.messages, batch.delay_seconds)

    async def peek(self, request: Request, id: str) -> object:
        """The oldest, in a consumer's hands or not; it takes none. Pilotlight's own."""
        most = number_of(query_of(request), "limit", 10, 1, 100)
        return [shown_message(message) for message in await self._queue(id).peek(most)]

    async def no_pull(self, request: Request, id: str) -> object:
        raise ApiError(400, BAD_CONSUMER, "HTTP pull consumers are not available here; a worker consumes a queue")

    async def _push(self, id: str, messages: Sequence[Pushed], delay: int | None) -> object:
        queue, new = self._queue(id), [message_of(message) for message in messages]
        if not new:
            raise ApiError(400, BAD_MESSAGE, "a batch needs at least one message")
        try:
            totals = await queue.send(checked(new), delay)
        except Refused as error:
            raise ApiError(400, BAD_MESSAGE, str(error)) from None
        return {"metadata": {"metrics": {"backlog_count": totals.messages, "backlog_bytes": totals.bytes}}}

    def _queue(self, id: str) -> Queue:
        queue = self._kept.find(id)
        if queue is None:
            raise ApiError(404, NOT_FOUND, f"there is no queue {id[:100]!r}")
        return queue

    async def _shown(self, about: About) -> dict[str, Any]:
        queue, found = self._queue(about.id), self._subscriptions.of(about.id)
        producers = [{"type": "worker", "script": worker} for worker in sorted(queue.producers)]
        return {
            "queue_id": about.id,
            "queue_name": about.name,
            "created_on": about.created,
            "modified_on": about.created,
            "settings": msgspec.to_builtins(await queue.settings()),
            "producers_total_count": len(producers),
            "producers": producers,
            "consumers_total_count": len(found),
            "consumers": found,
        }


def api(context: ProductContext) -> Api:
    """A host's, or that of ``pilot dev``."""
    kept, registry = queues(context), context.registry

    def exists(worker: str) -> bool:
        return registry is not None and registry.settings(worker) is not None

    return Api("queues", QueuesRest(kept, Subscriptions(kept, lambda: consumers(context, kept), exists)).entries())


def local_api(state: Path) -> tuple[Api, Resources[Queue]]:
    """That of a command, on the files of a state folder."""
    kept: Resources[Queue] = Resources(state, "queues", Queue)
    return Api("queues", QueuesRest(kept, Subscriptions(kept, None, lambda worker: False)).entries()), kept


__all__ = ["api", "local_api"]
