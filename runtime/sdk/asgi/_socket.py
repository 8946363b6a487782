"""One WebSocket of an application's. https://asgi.readthedocs.io/en/latest/specs/www.html#websocket"""

from __future__ import annotations

import asyncio
from typing import Any

from asgi._scope import App, Message  # type: ignore[import-not-found,unused-ignore]  # beside this one, on sys.path
from runtime.isolate import meter
from runtime.web import URL, Headers, Request, Response
from runtime.web.sockets import CloseEvent, MessageEvent, WebSocket, WebSocketPair

_MAX_MESSAGES_AHEAD = 16  # of what the application has received; the client is then read no more, by and by
_REFUSED, _NORMAL, _FAILED = 403, 1000, 1011


class Socket:
    """The application's ``receive`` and ``send``."""

    def __init__(self, request: Request, ctx: Any) -> None:
        self._request, self._ctx = request, ctx
        self._came: asyncio.Queue[tuple[Message, Any]] = asyncio.Queue(_MAX_MESSAGES_AHEAD)
        self._came.put_nowait(({"type": "websocket.connect"}, meter.current.get()))
        self._end: Message | None = None  # what is received from its end on
        self._server: WebSocket | None = None  # once it is accepted
        self._refusal: Message | None = None  # the head of an answer in the socket's place
        self._body = b""
        self._answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    async def response(self, app: App, scope: dict[str, Any]) -> Response:
        """101 once the application accepts; or its refusal. What it raises before is raised here."""
        what = f"WebSocket {URL(self._request.url).pathname}"
        running = self._run(app, scope)
        follow = getattr(self._ctx, "follow", None)
        task = asyncio.create_task(running) if follow is None else follow(running, what)
        try:
            return await self._answer
        except BaseException:
            task.cancel()
            raise

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            self._close(_FAILED, "")
            if self._answer.done():
                raise
            self._answer.set_exception(error if isinstance(error, Exception) else RuntimeError("it was ended"))
        else:
            self._close(_NORMAL, "")
            if not self._answer.done():
                self._answer.set_exception(RuntimeError("the ASGI application neither accepted nor refused the socket"))

    async def receive(self) -> Message:
        if self._end is not None and self._came.empty():
            return self._end
        message, metered = await self._came.get()
        meter.current.set(metered)  # each message has the CPU time of a request
        return message

    async def send(self, message: Message) -> None:
        """Raises OSError once the client has gone."""
        match message["type"]:
            case "websocket.accept":
                self._accept(message)
            case "websocket.send":
                self._send(message)
            case "websocket.close" if self._server is None:
                self._refuse(_REFUSED, [])
            case "websocket.close":
                self._close(message.get("code", _NORMAL), message.get("reason") or "")
            case "websocket.http.response.start":
                self._refusal = message
            case "websocket.http.response.body" if self._refusal is not None:
                self._body += message.get("body", b"")
                if not message.get("more_body", False):
                    self._refuse(self._refusal["status"], self._refusal.get("headers", ()))
            case kind:
                raise RuntimeError(f"{kind!r} is not to be sent over a WebSocket now")

    def _accept(self, message: Message) -> None:
        if self._answer.done():
            raise RuntimeError("the WebSocket was accepted or refused before")
        client, self._server = WebSocketPair.new()
        headers = Headers.from_raw(message.get("headers", ()))
        if message.get("subprotocol"):
            headers.set("sec-websocket-protocol", message["subprotocol"])
        self._server.binaryType = "arraybuffer"
        self._server.addEventListener("message", self._heard)
        self._server.addEventListener("close", self._closed)
        self._server.accept()
        self._answer.set_result(Response(None, status=101, headers=headers, web_socket=client))

    def _refuse(self, status: int, headers: Any) -> None:
        if self._answer.done():
            raise RuntimeError("the WebSocket was accepted or refused before")
        self._end = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        self._answer.set_result(Response(self._body, status=status, headers=Headers.from_raw(headers)))

    async def _heard(self, event: MessageEvent) -> None:
        """Which counts as dealt with once the application is about to receive it."""
        data: Any = event.data
        content = {"text": data} if isinstance(data, str) else {"bytes": bytes(data)}
        await self._came.put(({"type": "websocket.receive", **content}, meter.current.get()))

    async def _closed(self, event: CloseEvent) -> None:
        self._end = {"type": "websocket.disconnect", "code": event.code, "reason": event.reason}
        await self._came.put((self._end, meter.current.get()))

    def _send(self, message: Message) -> None:
        if self._server is None:
            raise RuntimeError("the WebSocket is not accepted")
        if self._end is not None or self._server.readyState != WebSocket.OPEN:
            raise OSError("the client has left")
        text = message.get("text")
        self._server.send(message["bytes"] if text is None else text)

    def _close(self, code: int, reason: str) -> None:
        if self._server is not None:
            self._server.close(code, reason)


__all__ = ["Socket"]
