"""HTTP/1.1 as uvicorn speaks it; with a limit on a request's head, and a way past ``send`` for what is sent most: an
answer that is whole, and a chunk of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from runtime.supervisor.heads import Headers

LARGEST_HEAD = 256 * 1024  # bytes; a complete head is refused at 128 KiB already, with a text
_SMALL = 64 * 1024  # bytes; joining a head and a body costs a copy
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """Collecting an endless head costs memory without end, and time that grows with its square."""

    __slots__ = ("_head", "lost")  # one attribute more in uvicorn's dict, and each connection has a dict of 1.5 KB

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head: int | None = None  # bytes of the head that is still coming in
        self.lost: Callable[[], None] | None = None  # told when the connection is

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.lost is not None:
            self.lost()

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self.transport.write(_REFUSAL)
                self.transport.close()
                return
        super().data_received(data)


def answer(send: Any, status: int, headers: Headers, body: bytes) -> bool:
    """Send all of an answer in one system call, without awaiting anything. ``headers`` are what ``heads.head`` made.
    False, and nothing is sent, wherever that is not all there is to it, and ``send`` knows what to do."""
    cycle = _cycle(send)
    if (cycle is None or cycle.response_started or cycle.disconnected or not cycle.keep_alive or cycle.flow.write_paused
            or cycle.scope["method"] == "HEAD"):  # fmt: skip
        return False
    if [value for name, value in headers if name == b"content-length"] != [b"%d" % len(body)]:
        return False
    lines = [b"%b: %b\r\n" % pair for pair in (*cycle.default_headers, *headers)]
    head = b"".join((STATUS_LINE[status], *lines, b"\r\n"))
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.response_complete = True
    if len(body) <= _SMALL:
        cycle.transport.write(head + body)
    else:
        cycle.transport.writelines((head, body))
    cycle.message_event.set()
    cycle.on_response()
    return True


def chunk_writer(send: Any) -> Callable[[bytes], bool] | None:
    """To write a chunk of the answer behind ``send`` now, without awaiting anything. False: not now, the client is
    slow or has left, and ``send`` knows what to do. None where the body is not sent in chunks."""
    cycle = _cycle(send)
    if cycle is None or not cycle.chunked_encoding:
        return None
    write, is_closing, flow = cycle.transport.write, cycle.transport.is_closing, cycle.flow

    def now(chunk: bytes) -> bool:
        if flow.write_paused or cycle.disconnected or is_closing():
            return False
        if chunk:  # an empty one would be the body's end
            write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        return True

    return now


def on_lost(send: Any, tell: Callable[[], None] | None) -> None:
    """Have ``tell`` called if the client behind ``send`` goes; None: no more."""
    cycle = _cycle(send)
    if cycle is not None:
        cycle.on_response.__self__.lost = tell  # the connection's ``Protocol``
        if tell is not None and cycle.disconnected:
            asyncio.get_running_loop().call_soon(tell)


def _cycle(send: Any) -> Any:
    """The RequestResponseCycle whose ``send`` it is."""
    cycle = getattr(send, "__self__", None)
    return cycle if isinstance(cycle, RequestResponseCycle) else None
