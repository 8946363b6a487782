"""Who consumes a queue, over the REST API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bindings.queues.consumers import Consumers
from bindings.queues.queue import Queue
from bindings.queues.rest.forms import (
    BAD_CONSUMER,
    BAD_SETTINGS,
    HAS_CONSUMER,
    NO_CONSUMER,
    NO_SCRIPT,
    NOT_FOUND,
    NewConsumer,
    converted,
    shown_consumer,
)
from bindings.queues.shapes import NAME, ConsumerSettings, Subscription
from bindings.rest import ApiError, Entry, body_of
from bindings.storage.resources import Resources
from runtime.web import Request


class Subscriptions:
    """``consumers``: None in a command, which knows of none. ``exists(worker)``."""

    def __init__(
        self, kept: Resources[Queue], consumers: Callable[[], Consumers] | None, exists: Callable[[str], bool]
    ) -> None:
        self._kept, self._consumers, self._exists = kept, consumers, exists

    def entries(self) -> list[Entry]:
        of, one = "{id}/consumers", "{id}/consumers/{consumer}"
        return [
            ("GET", of, self.all),
            ("POST", of, self.add),
            ("PUT", of, self.put),
            ("GET", one, self.get),
            ("PUT", one, self.change),
            ("DELETE", one, self.delete),
        ]

    def of(self, id: str) -> list[dict[str, Any]]:
        found = self._consumers().of(id) if self._consumers is not None else None
        return [shown_consumer(id, found)] if found is not None else []

    def removed(self, id: str) -> None:
        """The queue is no more."""
        if self._consumers is not None:
            self._consumers().removed(id)

    async def all(self, request: Request, id: str) -> object:
        return self.of(self._known(id))

    async def get(self, request: Request, id: str, consumer: str) -> object:
        self._subscription(id, consumer)
        return self.of(id)[0]

    async def add(self, request: Request, id: str) -> object:
        found = self._served().of(self._known(id))
        if found is not None:
            raise ApiError(409, HAS_CONSUMER, f"the queue {id} has a consumer already: the worker {found.worker}")
        return self._subscribed(id, await body_of(request, NewConsumer))

    async def put(self, request: Request, id: str) -> object:
        """The same, in place of one of the same worker; and the queue is made. Pilotlight's own, for a deploy."""
        given, found = await body_of(request, NewConsumer), self._served().of(id)
        if not NAME.fullmatch(id):
            raise ApiError(400, BAD_SETTINGS, f"{id[:100]!r} is no name of a queue")
        if found is not None and found.worker != given.script_name:
            raise ApiError(409, HAS_CONSUMER, f"the queue {id} has a consumer already: the worker {found.worker}")
        self._kept.get(id)
        return self._subscribed(id, given)

    async def change(self, request: Request, id: str, consumer: str) -> object:
        self._subscription(id, consumer)
        return self._subscribed(id, await body_of(request, NewConsumer))

    async def delete(self, request: Request, id: str, consumer: str) -> object:
        self._subscription(id, consumer)
        self._served().unsubscribe(id)
        return None

    def _subscribed(self, id: str, given: NewConsumer) -> object:
        worker = given.script_name or given.service
        if given.type != "worker":
            raise ApiError(400, BAD_CONSUMER, f"a consumer of type {given.type!r} is not available here, but 'worker'")
        if not worker or not self._exists(worker):
            raise ApiError(404, NO_SCRIPT, f"there is no worker {worker!r}")
        if given.dead_letter_queue is not None and not NAME.fullmatch(given.dead_letter_queue):
            raise ApiError(400, BAD_CONSUMER, f"{given.dead_letter_queue[:100]!r} is no name of a queue")
        settings = converted(given.settings or {}, ConsumerSettings, BAD_CONSUMER)
        self._served().subscribe(id, Subscription(worker, settings, given.dead_letter_queue))
        return self.of(id)[0]

    def _subscription(self, id: str, consumer: str) -> Subscription:
        found = self._served().of(self._known(id))
        if found is None or found.id != consumer:
            raise ApiError(404, NO_CONSUMER, f"the queue {id} has no consumer {consumer[:100]!r}")
        return found

    def _served(self) -> Consumers:
        if self._consumers is None:
            raise ApiError(400, BAD_CONSUMER, "the configuration says here who consumes a queue: [[queues.consumers]]")
        return self._consumers()

    def _known(self, id: str) -> str:
        """Raises ApiError."""
        if self._kept.about(id) is None:
            raise ApiError(404, NOT_FOUND, f"there is no queue {id[:100]!r}")
        return id


__all__ = ["Subscriptions"]
