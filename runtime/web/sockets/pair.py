"""``WebSocketPair``: two ends that are each other's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from runtime.web.sockets.contents import Content
from runtime.web.sockets.websocket import NEW, Closing, WebSocket

_MAX_PAIR_CHARACTERS = 2048


class PairLink:
    """The way to the other one of a pair, while both are this process's."""

    __slots__ = ("_to",)

    def __init__(self, to: WebSocket) -> None:
        self._to = to

    def send(self, content: Content) -> None:
        self._say(content)

    def close(self, code: int, reason: str) -> None:
        self._say(Closing(code, reason, True))

    def accepted(self) -> None:
        """What comes is handed over in any case."""

    def done(self, content: Content) -> None:
        """Nobody counts it."""

    def attach(self, attachment: bytes) -> None:
        """It goes along once the other one is answered with."""

    def over(self) -> None:
        """Nothing is kept."""

    def moved(self, socket: WebSocket) -> None:
        """One of a pair never is."""

    def _say(self, content: Content | Closing) -> None:
        if self._to.state == NEW:
            self._to.arrived(content)  # which keeps it
        else:
            asyncio.get_running_loop().call_soon(self._to.arrived, content)


class WebSocketPair:
    """``client, server = WebSocketPair.new().object_values()``; ``pair[0]`` and ``pair[1]``."""

    __slots__ = ("_pair",)

    def __init__(self) -> None:
        client, server = WebSocket(), WebSocket()
        client.peer, server.peer = server, client
        client.connect(PairLink(server))
        server.connect(PairLink(client))
        self._pair = client, server

    @classmethod
    def new(cls) -> WebSocketPair:
        return cls()

    def object_values(self) -> list[WebSocket]:
        return list(self._pair)

    def object_keys(self) -> list[str]:
        return ["0", "1"]

    def object_entries(self) -> list[list[object]]:
        return [[key, socket] for key, socket in zip(self.object_keys(), self._pair, strict=True)]

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self._pair)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: int | str) -> WebSocket:
        return self._pair[int(at)]

    def __getattr__(self, name: str) -> WebSocket:
        if name in ("0", "1"):
            return self._pair[int(name)]
        raise AttributeError(name)


class WebSocketRequestResponsePair:
    """``WebSocketRequestResponsePair.new("ping", "pong")``: a text, and what is answered to it."""

    __slots__ = ("request", "response")

    def __init__(self, request: str, response: str) -> None:
        self.request, self.response = _short("Request", request), _short("Response", response)

    @classmethod
    def new(cls, request: str, response: str) -> WebSocketRequestResponsePair:
        return cls(request, response)


def _short(what: str, text: object) -> str:
    if len(str(text)) > _MAX_PAIR_CHARACTERS:
        raise ValueError(f"{what} cannot be larger than {_MAX_PAIR_CHARACTERS} characters.")
    return str(text)


__all__ = ["WebSocketPair", "WebSocketRequestResponsePair"]
