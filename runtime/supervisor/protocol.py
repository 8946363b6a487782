"""HTTP/1.1 as uvicorn speaks it; with a limit on a request's head, and with an answer's head
and body in one system call, which uvicorn writes apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

LARGEST_HEAD = 256 * 1024  # bytes; a complete head is refused at 128 KiB already, with a text
_SMALL = 64 * 1024  # bytes; joining costs a copy, more is written by itself
_REFUSAL = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(HttpToolsProtocol):
    """Collecting an endless head costs memory without end, and time that grows with its square."""

    _head: int | None = None  # bytes of the head that is still coming in

    def connection_made(self, transport: Any) -> None:
        self._answers = Answers(transport)
        super().connection_made(self._answers)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._answers.lost is not None:
            self._answers.lost()

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        self._answers.begins = True
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
            if self._head > LARGEST_HEAD:
                self.transport.write(_REFUSAL)
                self.transport.close()
                return
        super().data_received(data)


def chunk_writer(send: Any) -> Callable[[bytes], bool] | None:
    """To write a chunk of the answer behind ``send`` now, without awaiting anything. False: not now, the client is
    slow or has left, and ``send`` knows what to do. None where the body is not sent in chunks."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle) or not cycle.chunked_encoding:
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
    cycle: Any = getattr(send, "__self__", None)
    if isinstance(cycle, RequestResponseCycle):
        answers: Any = cycle.transport
        answers.lost = tell
        if tell is not None and cycle.disconnected:
            asyncio.get_running_loop().call_soon(tell)


class Answers:
    """A connection's transport. What an answer begins with waits for the rest of this turn of the event loop: the
    body of a small answer is in it. From then on everything is written as it comes."""

    __slots__ = ("_transport", "_waiting", "begins", "lost")

    def __init__(self, transport: Any) -> None:
        self._transport, self._waiting, self.begins = transport, b"", False
        self.lost: Callable[[], None] | None = None  # told when the connection is

    def write(self, data: bytes) -> None:
        if self.begins:
            self.begins = False
            asyncio.get_running_loop().call_soon(self._flush)
            self._waiting += data
        elif not self._waiting:
            self._transport.write(data)
        elif len(data) <= _SMALL:
            self._waiting, data = b"", self._waiting + data
            self._transport.write(data)
        else:
            self._flush()
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._waiting:
            self._waiting, data = b"", self._waiting
            self._transport.write(data)
