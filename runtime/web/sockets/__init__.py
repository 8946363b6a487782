"""WebSockets, as a worker has them. Reading order: ``websocket``, ``pair``."""

from __future__ import annotations

from runtime.web.array_buffer import ArrayBuffer
from runtime.web.globals.events import CloseEvent, ErrorEvent, Event, MessageEvent
from runtime.web.sockets.pair import WebSocketPair, WebSocketRequestResponsePair
from runtime.web.sockets.websocket import Link, WebSocket, set_runner

__all__ = [
    "ArrayBuffer", "CloseEvent", "ErrorEvent", "Event", "Link", "MessageEvent", "WebSocket", "WebSocketPair",
    "WebSocketRequestResponsePair", "set_runner",
]  # fmt: skip
