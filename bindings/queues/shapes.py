"""What a configuration says of queues, and what Cloudflare's API does: types, defaults and ranges.

Facts: docs/reference/bindings.md#queues. The defaults of a consumer are those of ``wrangler dev``, not the service's.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

MAX_MESSAGE_BYTES, MAX_BATCH_BYTES, MAX_BATCH_MESSAGES = 128_000, 288_000, 100  # of what is sent
MAX_DELAY_S = 86_400
RETENTION_S, MAX_RETENTION_S = 4 * 86_400, 14 * 86_400
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
TYPES = ("json", "text", "bytes", "v8")

Delay = Annotated[int, msgspec.Meta(ge=0, le=MAX_DELAY_S)]


class ProducerTable(msgspec.Struct, frozen=True):
    """One of ``[[queues.producers]]``."""

    binding: str
    queue: str | None = None
    delivery_delay: float | None = None  # deprecated upstream, and without effect
    remote: bool | None = None
    experimental_remote: bool | None = None


class ConsumerTable(msgspec.Struct, frozen=True):
    """One of ``[[queues.consumers]]``."""

    queue: str
    type: str | None = None
    max_batch_size: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    max_batch_timeout: Annotated[float, msgspec.Meta(ge=0, le=60)] | None = None  # seconds
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    retry_delay: Delay | None = None  # seconds
    dead_letter_queue: str | None = None
    max_concurrency: Annotated[int, msgspec.Meta(ge=1, le=250)] | None = None
    visibility_timeout_ms: float | None = None  # of HTTP pull consumers, which are not here


class QueueTables(msgspec.Struct, frozen=True):
    producers: list[ProducerTable] = []
    consumers: list[ConsumerTable] = []


class ConsumerSettings(msgspec.Struct, frozen=True, omit_defaults=True):
    """As Cloudflare's API has them."""

    batch_size: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    max_wait_time_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] | None = None
    max_concurrency: Annotated[int, msgspec.Meta(ge=1, le=250)] | None = None
    retry_delay: Delay | None = None


class Subscription(msgspec.Struct, frozen=True):
    """That a worker consumes a queue, and how. ``id`` is empty where a configuration here says so."""

    worker: str
    settings: ConsumerSettings = ConsumerSettings()
    dead_letter_queue: str | None = None
    id: str = ""
    created: str = ""

    @property
    def batch_size(self) -> int:
        return 5 if self.settings.batch_size is None else self.settings.batch_size

    @property
    def wait_s(self) -> float:
        return 1.0 if self.settings.max_wait_time_ms is None else self.settings.max_wait_time_ms / 1000

    @property
    def attempts(self) -> int:
        return 1 + (2 if self.settings.max_retries is None else self.settings.max_retries)

    @property
    def concurrency(self) -> int:
        return self.settings.max_concurrency or 1

    @property
    def retry_delay(self) -> int:
        return self.settings.retry_delay or 0


class QueueSettings(msgspec.Struct, frozen=True):
    """As Cloudflare's API has them. Times are seconds."""

    delivery_delay: Delay = 0
    message_retention_period: Annotated[int, msgspec.Meta(ge=60, le=MAX_RETENTION_S)] = RETENTION_S
    delivery_paused: bool = False


class Refused(Exception):
    """What may not be sent, in words for whoever sends it."""


class NewMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message on its way in. ``delay_s``: None: the batch's, else the queue's."""

    type: str
    body: bytes
    delay_s: float | None = None


def checked(messages: list[NewMessage]) -> list[NewMessage]:
    """Raises Refused."""
    if len(messages) > MAX_BATCH_MESSAGES:
        raise Refused(f"batch message count of {len(messages)} exceeds limit of {MAX_BATCH_MESSAGES}")
    sizes = [len(message.body) for message in messages]
    if max(sizes) > MAX_MESSAGE_BYTES:
        raise Refused(f"message length of {max(sizes)} bytes exceeds limit of {MAX_MESSAGE_BYTES}")
    if sum(sizes) > MAX_BATCH_BYTES:
        raise Refused(f"batch size of {sum(sizes)} bytes exceeds limit of {MAX_BATCH_BYTES}")
    for message in messages:
        if message.delay_s is not None and not 0 <= message.delay_s <= MAX_DELAY_S:
            raise Refused(f"a delay of {message.delay_s:g} seconds is not from 0 to {MAX_DELAY_S}")
    return messages


def subscription(worker: str, table: ConsumerTable) -> Subscription:
    settings = ConsumerSettings(
        batch_size=table.max_batch_size,
        max_retries=table.max_retries,
        max_wait_time_ms=None if table.max_batch_timeout is None else 1000 * table.max_batch_timeout,
        max_concurrency=table.max_concurrency,
        retry_delay=table.retry_delay,
    )
    return Subscription(worker, settings, table.dead_letter_queue)


__all__ = [
    "MAX_DELAY_S", "NAME", "TYPES", "ConsumerSettings", "ConsumerTable", "Delay", "NewMessage", "ProducerTable",
    "QueueSettings", "QueueTables", "Refused", "Subscription", "checked", "subscription",
]  # fmt: skip
