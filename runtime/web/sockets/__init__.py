"""WebSockets, as a worker has them. Reading order: ``events``, ``websocket``, ``pair``."""

from __future__ import annotations

from runtime.web.sockets.events import ArrayBuffer, CloseEvent, ErrorEvent, Event, MessageEvent
from runtime.web.sockets.pair import WebSocketPair, WebSocketRequestResponsePair
from runtime.web.sockets.websocket import Link, WebSocket, set_runner

__all__ = [
    "ArrayBuffer", "CloseEvent", "ErrorEvent", "Event", "Link", "MessageEvent", "WebSocket", "WebSocketPair",
    "WebSocketRequestResponsePair", "set_runner",
]  # fmt: skip
