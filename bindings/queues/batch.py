"""What a worker's ``queue`` handler is given: a batch, and its messages. Made in the isolate.

Of one message, the first of ``ack`` and ``retry`` counts; of a batch, the first of ``ackAll`` and ``retryAll``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from bindings.queues.bodies import decode
from runtime.values import JsArray, JsDict

_UNSAID = object()


class Message:
    """``attempts`` counts from 1; ``timestamp`` is when it was sent, in local time as all moments are."""

    def __init__(self, id: str, sent: int, attempts: int, kind: str, content: bytes) -> None:
        self.id, self.attempts, self._content = id, attempts, (kind, content)
        self.timestamp = datetime.fromtimestamp(sent / 1000)
        self._said: object = _UNSAID  # None: ack; a number or "": retry after so many seconds, or when it is due

    @cached_property
    def body(self) -> Any:
        return decode(*self._content)

    def ack(self) -> None:
        if self._said is _UNSAID:
            self._said = None

    def retry(self, *args: object, **options: object) -> None:
        """``retry(delaySeconds=None)``"""
        if self._said is _UNSAID:
            self._said = _delay(args, options)

    @property
    def again(self) -> object:
        """For the runtime: False, or after how many seconds; "": as the batch or the consumer says."""
        return False if self._said is _UNSAID or self._said is None else self._said

    def __repr__(self) -> str:
        return f"<Message {self.id}>"


class MessageBatch:
    """https://developers.cloudflare.com/queues/configuration/javascript-apis/#messagebatch"""

    def __init__(self, queue: str, messages: Sequence[Sequence[Any]], metrics: dict[str, Any]) -> None:
        self.queue = queue
        self.messages = JsArray([Message(*message) for message in messages])
        oldest = metrics.pop("oldestMessageTimestamp", 0)
        when = {"oldestMessageTimestamp": datetime.fromtimestamp(oldest / 1000)} if oldest else {}
        self.metadata = JsDict(metrics=JsDict({**metrics, **when}))
        self._said: object = _UNSAID

    def ackAll(self) -> None:
        if self._said is _UNSAID:
            self._said = None

    def retryAll(self, *args: object, **options: object) -> None:
        """``retryAll(delaySeconds=None)``"""
        if self._said is _UNSAID:
            self._said = _delay(args, options)

    def outcome(self, returned: object) -> dict[str, object]:
        """For the runtime: ``all``: as ``Message.again``, of the whole batch; ``some``: by id."""
        again = False if self._said is _UNSAID or self._said is None else self._said
        acked = self._said is None
        some = {} if acked else {one.id: one.again for one in self.messages if one.again is not False}
        return {"all": again, "some": some}


def _delay(args: Sequence[object], options: dict[str, object]) -> object:
    """In whole seconds, "" where nothing is said. Raises TypeError."""
    given = args[0] if args and isinstance(args[0], dict) else options
    seconds = given.get("delaySeconds")
    if seconds is None:
        return ""
    if not isinstance(seconds, int | float):
        raise TypeError("delaySeconds is not a number")
    return int(seconds)


__all__ = ["Message", "MessageBatch"]
