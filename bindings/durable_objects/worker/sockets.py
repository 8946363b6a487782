"""The sockets that an object has accepted for hibernation, as long as it is in memory. The supervisor keeps them.

https://developers.cloudflare.com/durable-objects/best-practices/websockets/
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bindings.durable_objects.storage.values import text
from runtime.isolate.serving.sockets import SocketLink
from runtime.values import JsArray, JsException
from runtime.web.sockets import WebSocket, WebSocketRequestResponsePair
from runtime.wire import SOCKET, Channel

_MAX_TAGS, _MAX_TAG_CHARACTERS, _MAX_TIMEOUT_MS = 10, 256, 604_800_000
_CONTROL = 0  # the number under which the process speaks of its objects


class Hibernating:
    """``name`` and ``id``: the object's class, and its own."""

    def __init__(self, channel: Channel, name: str, id: str) -> None:
        self._channel, self._name, self._id = channel, name, id
        self._tags: dict[WebSocket, list[str]] = {}
        self._by_number: dict[int, WebSocket] = {}
        self._pair: WebSocketRequestResponsePair | None = None
        self._timeout: int | None = None

    # What an object calls

    def accept(self, socket: WebSocket, tags: object = None) -> None:
        """Raises TypeError for a socket that was accepted, or tags that are too many or too long."""
        if not isinstance(socket, WebSocket):
            raise TypeError("acceptWebSocket(socket, tags): socket is no WebSocket")
        checked = _checked([] if tags is None else tags)
        socket.hibernate()
        self._tags[socket] = checked

    def all(self, tag: object = None) -> list[WebSocket]:
        return JsArray([socket for socket, tags in self._tags.items() if tag is None or text(tag) in tags])

    def tags(self, socket: WebSocket) -> list[str]:
        """Raises JsException: it was not accepted here."""
        if socket not in self._tags:
            raise JsException("you must call 'acceptWebSocket()' before attempting to access the tags of a WebSocket.")
        return JsArray(self._tags[socket])

    def set_pair(self, pair: WebSocketRequestResponsePair | None) -> None:
        self._pair = pair
        self._tell("pair", self._sent_pair())

    @property
    def pair(self) -> WebSocketRequestResponsePair | None:
        return self._pair

    def answered(self, socket: WebSocket) -> datetime | None:
        """When the pair last answered for it: naive, in local time."""
        link = socket.link
        at = link.answered if isinstance(link, SocketLink) else None
        return None if at is None else datetime.fromtimestamp(at / 1000)  # noqa: DTZ006

    def set_timeout(self, milliseconds: float | None) -> None:
        """Raises ValueError."""
        if milliseconds is not None and not 0 <= milliseconds <= _MAX_TIMEOUT_MS:
            raise ValueError(f"Event timeout should not exceed {_MAX_TIMEOUT_MS} ms.")
        self._timeout = int(milliseconds) or None if milliseconds is not None else None
        self._tell("timeout", self._timeout)

    @property
    def timeout(self) -> int | None:
        return self._timeout

    # What the runtime calls

    async def restore(self) -> None:
        """As the supervisor has them: of an instance that was in memory before, or of other code."""
        self._tags.clear()  # of an attempt that was cancelled
        self._by_number.clear()
        number, more = 0, True
        while more:
            more, pair, timeout = await self._channel.call("sockets", self._name, self._id, number)
            for number, tags, attachment, answered, closed in more:
                socket = WebSocket()
                link = SocketLink(self._channel, number, socket, lambda: None)
                link.answered = answered
                socket.connect(link)
                socket.restore(attachment, closed)
                self._by_number[number], self._tags[socket] = socket, list(tags)
        self._pair = None if pair is None else WebSocketRequestResponsePair(*pair)
        self._timeout = timeout

    def kept(self, socket: WebSocket, label: str | None, number: int) -> list[Any]:
        """The object's event of this number is answered with the other end: what the supervisor is told of it."""
        self._by_number[number] = socket
        return [self._name, self._id, label, self._tags[socket], socket.attachment, self._sent_pair(), self._timeout]

    def has(self, socket: WebSocket | None) -> bool:
        return socket in self._tags

    def find(self, number: int) -> WebSocket | None:
        return self._by_number.get(number)

    def forget(self, socket: WebSocket) -> None:
        """It is over."""
        self._tags.pop(socket, None)
        if isinstance(socket.link, SocketLink):
            self._by_number.pop(socket.link.number, None)
            socket.link.over()

    def let_go(self) -> None:
        """The object leaves memory, its sockets stay open."""
        for socket in self._tags:
            if isinstance(socket.link, SocketLink):
                socket.link.give_back()

    def _sent_pair(self) -> list[str] | None:
        return None if self._pair is None else [self._pair.request, self._pair.response]

    def _tell(self, what: str, value: object) -> None:
        self._channel.send([SOCKET, _CONTROL, [self._name, self._id, what, value]])


def _checked(tags: object) -> list[str]:
    if isinstance(tags, str) or not isinstance(tags, Sequence):
        raise TypeError("acceptWebSocket(socket, tags): tags is no list")
    found = list(dict.fromkeys(map(text, tags)))
    if len(found) > _MAX_TAGS:
        raise JsException(f"a Hibernatable WebSocket cannot have more than {_MAX_TAGS} tags")
    for tag in found:
        if len(tag) > _MAX_TAG_CHARACTERS:
            raise JsException(f'"{tag}" is longer than the max tag length ({_MAX_TAG_CHARACTERS} characters).')
    return found


__all__ = ["Hibernating"]
