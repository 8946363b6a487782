"""What is asked over the REST API of queues, and what is shown: plain data, checked."""

from __future__ import annotations

import base64
from typing import Any, TypeVar

import msgspec

from bindings.queues.shapes import Delay, NewMessage, QueueSettings, Subscription
from bindings.queues.store import Message
from bindings.rest import ApiError

T = TypeVar("T")
NOT_FOUND, TAKEN, HAS_CONSUMER, NO_CONSUMER, NO_SCRIPT = 11000, 11009, 11004, 11003, 10007
BAD_CONSUMER, BAD_SETTINGS, BAD_MESSAGE = 100127, 100128, 100129


class NewQueue(msgspec.Struct):
    queue_name: str | None = None
    settings: Any = None


class NewConsumer(msgspec.Struct):
    type: str = "worker"
    script_name: str | None = None
    service: str | None = None
    settings: Any = None
    dead_letter_queue: str | None = None


class Pushed(msgspec.Struct):
    body: Any
    content_type: str | None = None
    delay_seconds: Delay | None = None


class PushedBatch(msgspec.Struct):
    messages: list[Pushed]
    delay_seconds: Delay | None = None


def changed(given: Any, now: QueueSettings) -> QueueSettings:
    changed = {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else {}
    return converted({**msgspec.to_builtins(now), **changed}, QueueSettings, BAD_SETTINGS)


def converted(given: Any, kind: type[T], code: int) -> T:
    """Raises ApiError."""
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise ApiError(400, code, f"the settings cannot be used: {error}") from None


def message_of(message: Pushed) -> NewMessage:
    """As Cloudflare's API takes them: text as it is, anything else as JSON."""
    kind = message.content_type or ("text" if isinstance(message.body, str) else "json")
    if kind == "text" and isinstance(message.body, str):
        return NewMessage("text", message.body.encode(), message.delay_seconds)
    if kind == "json":
        return NewMessage("json", msgspec.json.encode(message.body), message.delay_seconds)
    if kind == "bytes" and isinstance(message.body, str):
        return NewMessage("bytes", _decoded(message.body), message.delay_seconds)
    raise ApiError(400, BAD_MESSAGE, f"content_type {kind[:50]!r} is not 'text' of a text, 'json' or 'bytes' of base64")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ApiError(400, BAD_MESSAGE, "the body is not base64") from None


def shown_message(message: Message) -> dict[str, Any]:
    readable = message.type in ("json", "text")
    body = message.body.decode("utf-8", "replace") if readable else base64.b64encode(message.body).decode()
    return {
        "id": message.id,
        "timestamp_ms": message.sent,
        "due_ms": message.due,
        "attempts": message.failed,
        "body": body,
        "metadata": {"CF-Content-Type": message.type},
    }


def shown_consumer(id: str, found: Subscription) -> dict[str, Any]:
    return {
        "consumer_id": found.id,
        "type": "worker",
        "queue_name": id,
        "script": found.worker,
        "script_name": found.worker,
        "dead_letter_queue": found.dead_letter_queue,
        "created_on": found.created,
        "settings": {
            "batch_size": found.batch_size,
            "max_retries": found.attempts - 1,
            "max_wait_time_ms": int(1000 * found.wait_s),
            "max_concurrency": found.settings.max_concurrency,
            "retry_delay": found.retry_delay,
        },
    }


__all__ = [
    "BAD_CONSUMER", "BAD_MESSAGE", "BAD_SETTINGS", "HAS_CONSUMER", "NOT_FOUND", "NO_CONSUMER", "NO_SCRIPT", "TAKEN",
    "NewConsumer", "NewQueue", "Pushed", "PushedBatch", "changed", "converted", "message_of", "shown_consumer",
    "shown_message",
]  # fmt: skip
