"""``WebSocket.new(url, protocols)``: a worker's own connection to another server, as a browser opens one.

https://websockets.spec.whatwg.org/#the-websocket-interface
"""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Iterable

from runtime.web.fetching import fetch
from runtime.web.globals.events import Event
from runtime.web.response import Response
from runtime.web.scope import current_ctx
from runtime.web.sockets.contents import ABNORMAL
from runtime.web.sockets.websocket import ACCEPTED, Closing, WebSocket
from runtime.web.url import parse

_SCHEMES = {"ws:": "http:", "wss:": "https:"}
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FAILED = "Failed to establish websocket connection"
_LOST = "Network connection lost."


class ClientWebSocket(WebSocket):
    """Connecting at first; ``open`` tells when it is open. It belongs to the event that has made it."""

    __slots__ = ("_connecting",)

    def __init__(self, url: str, protocols: str | Iterable[str] | None = None) -> None:
        """Raises ``failure`` (a SyntaxError of JavaScript's) for what is no address of a socket, or no protocol."""
        asked, offered = self._address(url), self._protocols(protocols)
        super().__init__(url=str(url))
        self._context = contextvars.copy_context()
        self._connecting: asyncio.Future[None] | None = asyncio.ensure_future(self._connect(asked, offered))
        if (ctx := current_ctx.get(None)) is not None:
            ctx.wait_until(self._connecting)

    @property
    def readyState(self) -> int:
        return self.CONNECTING if self._connecting is not None else super().readyState

    def accept(self, *args: object, **options: object) -> None:
        """Raises TypeError: it is this worker's from the beginning."""
        raise TypeError("Websockets obtained from the 'new WebSocket()' constructor cannot call accept")

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        if self._connecting is None:
            return super().close(code, reason)
        self._connecting.cancel()
        self._connecting = None
        asyncio.get_running_loop().call_soon(self._fail, _LOST)

    def _address(self, url: str) -> str:
        """Of the same, by ``fetch``."""
        try:
            parsed = parse(url)
        except TypeError:
            raise self._refusal("The url is invalid.") from None
        if parsed.protocol not in _SCHEMES:
            raise self._refusal("The url scheme must be ws or wss.")
        if parsed.hash:
            raise self._refusal("The url fragment must be empty.")
        return _SCHEMES[parsed.protocol] + parsed.href.partition(":")[2]

    def _protocols(self, given: str | Iterable[str] | None) -> list[str]:
        names = [given] if isinstance(given, str) else [str(name) for name in given or ()]
        if not all(map(_TOKEN.fullmatch, names)):
            raise self._refusal("One of the protocol header tokens is invalid.")
        if len(set(names)) < len(names):
            raise self._refusal("The protocols header cannot have repeating values.")
        return names

    def _refusal(self, why: str) -> Exception:
        return self.failure(f"WebSocket Constructor: {why}", "SyntaxError")

    async def _connect(self, url: str, protocols: list[str]) -> None:
        headers = {"Upgrade": "websocket", "Sec-WebSocket-Extensions": "permessage-deflate"}
        if protocols:
            headers["Sec-WebSocket-Protocol"] = ", ".join(protocols)
        try:
            response = await fetch(url, headers=headers, redirect="manual")
            socket = response.web_socket
        except (TypeError, OSError) as error:
            return self._fail(f"{_LOST} {error}")
        if socket is None:
            return self._fail(
                "Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 "
                f"(switching protocols), but received {response.status} instead."
            )
        self._open(response, socket)

    def _open(self, response: Response, socket: WebSocket) -> None:
        self._connecting, self.protocol = None, socket.protocol
        self.extensions = response.headers.get("sec-websocket-extensions") or ""
        early, self.state = socket.moved(self), ACCEPTED
        if self._link is not None:
            self._link.accepted()
        self._run(Event.of("open", self), _nothing)
        for content in early:
            self._heard(content)

    def _fail(self, why: str) -> None:
        self._connecting = None
        self._heard(Closing(ABNORMAL, _FAILED, False, why))

    onopen = property(lambda self: self._on("open"), lambda self, value: self._set_on("open", value))


def _nothing() -> None:
    """It counts for no message."""


__all__ = ["ClientWebSocket"]
