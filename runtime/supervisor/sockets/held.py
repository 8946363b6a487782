"""Sockets that hibernate: what an object has accepted, the supervisor keeps, whether the object is in memory or not.

Each event of one goes to whoever is the object by then, one at a time: after its eviction to another instance, after
new code to that code's. What the object has told of a socket (tags, an attachment, the answer to give in its place) is
kept here. Nothing of it outlives the connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from bindings.messages import CallError
from runtime.errors import ScriptError, UserError
from runtime.supervisor.sockets.ends import ABNORMAL, Content, End
from runtime.supervisor.sockets.worker_end import closing_of, content_of
from runtime.wire import SOCKET, Channel, RemoteError
from runtime.wire.credit import CreditExceeded

MAX_TAGS, MAX_TAG_CHARACTERS, MAX_ATTACHMENT_BYTES, MAX_PAIR_CHARACTERS = 10, 256, 16_384, 2_048
CONTROL = 0  # the number under which a process speaks of its objects
_WINDOW_BYTES = 64 * 1024  # of messages that wait for the object; one more is always let through
_MESSAGE_BYTES = 128  # what a message costs besides its content
_MAX_NAME = 512
_MAX_TIMEOUT_MS = 604_800_000  # a week, as upstream
_FINISHED_S = 60.0  # in which an object deals with a socket's end

Deliver = Callable[[str, str, Sequence[Any]], Awaitable[object]]
"""``deliver(worker, method, args)``: the object's process deals with it."""


class Key(NamedTuple):
    worker: str
    cls: str
    id: str


class ObjectSockets:
    """Those of one object."""

    __slots__ = ("key", "label", "pair", "sockets", "timeout_ms")

    def __init__(self, key: Key) -> None:
        self.key, self.label = key, None  # type: Key, str | None
        self.sockets: dict[int, Held] = {}
        self.pair: list[str] | None = None  # what is answered without asking the object, and with what
        self.timeout_ms: int | None = None  # of one event


class HeldTable:
    """All of a supervisor. ``tell(worker, why)``: an event could not be delivered."""

    def __init__(self, deliver: Deliver, tell: Callable[[str, str], None]) -> None:
        self.deliver, self.tell = deliver, tell
        self._objects: dict[Key, ObjectSockets] = {}

    def of(self, key: Key) -> ObjectSockets:
        return self._objects.get(key) or ObjectSockets(key)

    def keep(self, key: Key, label: str | None, number: int, told: Sequence[Any]) -> Held:
        """``told``: its tags, its attachment, and of the object the pair and the timeout. Raises ScriptError."""
        tags, attachment, pair, timeout = _checked(told)
        found = self._objects.setdefault(key, ObjectSockets(key))
        found.label, found.pair, found.timeout_ms = label, pair, timeout
        held = found.sockets[number] = Held(self, found, number, tuple(tags), attachment)
        return held

    def set(self, key: Key, what: str, value: Any) -> None:
        """An object without sockets tells it again when it has one. Raises CreditExceeded for what is none."""
        found = self._objects.get(key) or ObjectSockets(key)
        if what == "pair" and _is_pair(value):
            found.pair = value
        elif what == "timeout" and _is_timeout(value):
            found.timeout_ms = value
        else:
            raise CreditExceeded("sent of an object's sockets what is none of it")

    def forget(self, found: ObjectSockets) -> None:
        """Unless it has sockets."""
        if not found.sockets:
            self._objects.pop(found.key, None)


class Held:
    """One socket: an end that nobody need be behind."""

    __slots__ = (
        "_queue", "_queued", "_table", "_task", "answered", "attachment", "channel", "closed_out", "number", "object",
        "other", "tags",
    )  # fmt: skip

    def __init__(
        self, table: HeldTable, object: ObjectSockets, number: int, tags: tuple[str, ...], attachment: bytes | None
    ) -> None:
        self._table, self.object, self.number, self.tags, self.attachment = table, object, number, tags, attachment
        self.answered: int | None = None  # when the pair was last used, in ms since 1970
        self.closed_out = False
        self.other: End | None = None
        self.channel: Channel | None = None  # of the process that knows it
        self._queue: deque[tuple[str, list[Any]]] | None = None
        self._queued = 0  # bytes
        self._task: asyncio.Task[None] | None = None

    def told(self) -> list[object]:
        """What an object is told of it."""
        return [self.number, list(self.tags), self.attachment, self.answered, self.closed_out]

    def known_to(self, channel: Channel) -> None:
        self.channel = channel
        channel.sockets[self.number] = self

    # runtime.supervisor.sockets.ends.End

    def begin(self) -> None:
        """What comes is delivered in any case. The process that has answered with it waits for word of that."""
        if self.channel is not None:
            self.channel.send([SOCKET, self.number, True])

    def take(self, content: Content) -> None:
        pair = self.object.pair
        if pair is not None and content == pair[0] and not self.closed_out and self.other is not None:
            self.answered = time.time_ns() // 1_000_000
            if self.channel is not None:
                self.channel.send([SOCKET, self.number, self.answered])
            return self.other.take(pair[1])
        self._queued += len(content) + _MESSAGE_BYTES
        if self._queued > _WINDOW_BYTES and self.other is not None:
            self.other.hold(True)
        self._put("webSocketMessage", [content])

    def close(self, code: int, reason: str) -> None:
        self._put("webSocketClose", [code, reason, True])

    def lose(self, code: int, reason: str, error: str = "") -> None:
        self.other = None
        if error:
            self._put("webSocketError", [error])
        self._put("webSocketClose", [code, reason, False])

    def hold(self, full: bool) -> None:
        """An object's ``send`` does not wait."""

    # runtime.wire.protocol.SocketEnd

    def arrived(self, content: object) -> None:
        """Raises CreditExceeded for what no object's process sends."""
        if content is None:
            self.lost()
        elif isinstance(content, dict):
            self._attach(content.get("attachment"))
        elif isinstance(content, str | bytes):
            if self.other is not None:
                self.other.take(content_of(content))
        else:
            code, reason = closing_of(content)
            if not self.closed_out and self.other is not None:
                self.other.close(code, reason)
            self.closed_out = True

    def lost(self) -> None:
        """The process that knows it is gone, or does not any more."""
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.sockets.pop(self.number, None)

    def _attach(self, value: object) -> None:
        if not isinstance(value, bytes) or len(value) > MAX_ATTACHMENT_BYTES:
            raise CreditExceeded("sent a socket's attachment that is none")
        self.attachment = value

    # Delivery

    def _put(self, method: str, args: list[Any]) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append((method, args))
        if self._task is None:
            self._task = asyncio.create_task(self._deliver_all())

    async def _deliver_all(self) -> None:
        try:
            while self._queue:
                method, args = self._queue.popleft()
                await self._deliver(method, args)
                if method == "webSocketClose":
                    return self._over()
                if method == "webSocketMessage":
                    self._read(args[0])
        finally:
            self._task = None
            if not self._queue:
                self._queue = None  # a socket at rest has none

    async def _deliver(self, method: str, args: list[Any]) -> None:
        cls, id = self.object.key[1:]
        seconds = self.object.timeout_ms and self.object.timeout_ms / 1000
        if method == "webSocketClose":
            seconds = min(seconds or _FINISHED_S, _FINISHED_S)
        try:
            async with asyncio.timeout(seconds):
                await self._table.deliver(
                    self.object.key.worker, method, [cls, id, self.object.label, self.number, *args]
                )
        except TimeoutError:
            self._table.tell(self.object.key.worker, f"{cls}.{method} took more than {seconds:g} s")
        except (RemoteError, UserError, CallError) as error:
            what = error.what if isinstance(error, UserError) else str(error)
            self._table.tell(self.object.key.worker, f"{cls}.{method}: {what}")

    def _read(self, content: Content) -> None:
        before, self._queued = self._queued, self._queued - len(content) - _MESSAGE_BYTES
        if before > _WINDOW_BYTES >= self._queued and self.other is not None:
            self.other.hold(False)

    def _over(self) -> None:
        """One that the object has not closed: its client ends without a Close frame, as upstream."""
        other, self.other = self.other, None
        if other is not None and not self.closed_out:
            other.lose(ABNORMAL, "")
        self.closed_out, self._queue = True, None
        self.object.sockets.pop(self.number, None)
        self._table.forget(self.object)


class ObjectsControl:
    """What a process with objects says of them: ``[class, id, "pair" | "timeout", value]``."""

    def __init__(self, worker: str, table: HeldTable) -> None:
        self._worker, self._table = worker, table

    def arrived(self, content: object) -> None:
        match content:
            case [str(cls), str(id), str(what), value] if len(cls) <= _MAX_NAME and len(id) <= _MAX_NAME:
                self._table.set(Key(self._worker, cls, id), what, value)
            case _:
                raise CreditExceeded("sent of an object's sockets what is none of it")

    def lost(self) -> None:
        """What it said of them stays."""


def _checked(told: Sequence[Any]) -> Sequence[Any]:
    with suppress(ValueError):
        tags, attachment, pair, timeout = told
        named = isinstance(tags, list) and len(tags) <= MAX_TAGS
        fits = attachment is None or (isinstance(attachment, bytes) and len(attachment) <= MAX_ATTACHMENT_BYTES)
        named = named and all(isinstance(tag, str) and len(tag) <= MAX_TAG_CHARACTERS for tag in tags)
        if named and fits and _is_pair(pair) and _is_timeout(timeout):
            return told
    raise ScriptError("the worker's process sent a socket that is none")


def _is_pair(value: Any) -> bool:
    """Or none."""
    texts = isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)
    return value is None or (texts and all(len(text) <= MAX_PAIR_CHARACTERS for text in value))


def _is_timeout(value: object) -> bool:
    return value is None or (isinstance(value, int) and 0 < value <= _MAX_TIMEOUT_MS)


__all__ = ["CONTROL", "Deliver", "Held", "HeldTable", "Key", "ObjectSockets", "ObjectsControl"]
