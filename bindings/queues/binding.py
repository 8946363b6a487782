"""``env.NAME`` of a queue, the host's half: checks what a producer sends, and keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import CallError
from bindings.queues.queue import Queue
from bindings.queues.shapes import TYPES, NewMessage, Refused, checked
from bindings.queues.store import Totals
from bindings.sqlite import StoreError, disk_error
from bindings.storage.resources import Resources

CODE = "(15000)"  # upstream's, of everything that cannot be sent


class QueueBinding:
    """One ``[[queues.producers]]``. ``dead``: the queue of that name's dead letters, if it has any."""

    client = "bindings.queues.worker:QueueProducer"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, queue: str, worker: str, resources: Resources[Queue]) -> None:
        self.name, self.queue, self.worker, self._resources = name, queue, worker, resources
        self._queue.bound(self)

    def describe(self) -> tuple[str, str]:
        return "queue", self.queue

    @property
    def explored(self) -> Mapping[str, object]:
        return {"queue": self.queue, "in flight": self._queue.in_flight}

    @property
    def _queue(self) -> Queue:
        """Asked for each time: someone may have removed it meanwhile."""
        return self._resources.get(self.queue)

    async def call(self, method: str, args: Sequence[Any]) -> object:
        if method == "metrics":
            return metrics(await self._queue.totals())
        if method != "send":
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        try:
            messages, delay = _parsed(args)
            return metrics(await self._queue.send(messages, delay))
        except Refused as error:
            raise CallError("Error", f"{error} {CODE}") from None
        except (StoreError, OSError) as error:
            raise CallError("Error", f"Queue send failed: {disk_error(error)} {CODE}") from None


def metrics(totals: Totals) -> dict[str, int]:
    """As upstream has them."""
    return {"backlogCount": totals.messages, "backlogBytes": totals.bytes, "oldestMessageTimestamp": totals.oldest or 0}


def _parsed(args: Sequence[Any]) -> tuple[list[NewMessage], float | None]:
    """What a worker's process sent, which may be anything. Raises Refused, CallError."""
    try:
        given, delay = args
        messages = msgspec.convert(given, list[NewMessage])
        delay_s = msgspec.convert(delay, float | None)
    except (ValueError, msgspec.ValidationError):
        raise CallError("TypeError", "this is no message") from None
    if not messages or any(message.type not in TYPES for message in messages):
        raise CallError("TypeError", "this is no message")
    checked(messages)
    checked([NewMessage("json", b"", delay_s)])
    return messages, delay_s


__all__ = ["QueueBinding", "metrics"]
