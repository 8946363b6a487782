"""Past ``send``: what is sent most, an answer that is whole and a chunk of a stream; a file; and what is no answer at
all, a connection that becomes a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from bindings.storage.file_body import FileBody
from runtime.supervisor.http import sendfile
from runtime.supervisor.http.asgi import Headers, Send
from runtime.supervisor.http.protocol import STATUS_LINE, Protocol, RequestResponseCycle

_MAX_JOINED_BYTES = 64 * 1024  # bytes; joining a head and a body costs a copy


class Taken(NamedTuple):
    """A connection that is HTTP's no more. ``connections``: the server's, which it has to leave, and where whatever
    has it now is told of the server's end, by ``shutdown()``. ``patience``: seconds to take what waits."""

    transport: asyncio.Transport
    connections: set[object]
    patience: float


def answer(send: Send, status: int, headers: Headers, body: bytes) -> bool:
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
    if len(body) <= _MAX_JOINED_BYTES:
        cycle.transport.write(head + body)
    else:
        cycle.transport.writelines((head, body))
    cycle.message_event.set()
    cycle.on_response()
    return True


def chunk_writer(send: Send) -> Callable[[bytes], bool] | None:
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


async def send_file(send: Send, body: FileBody) -> None:
    """The body of the answer that ``send`` has begun, past this process; or nothing of it, where that is not possible.
    Its end is still ``send``'s to say. Raises ConnectionError when the client has gone."""
    cycle = _cycle(send)
    if cycle is None or cycle.chunked_encoding is not False or cycle.disconnected:
        return

    def count(sent: int) -> None:
        cycle.expected_content_length -= sent

    await sendfile.send(cycle.transport, body, count)


def on_lost(send: Send, tell: Callable[[], None] | None) -> None:
    """Have ``tell`` called if the client behind ``send`` goes; None: no more."""
    cycle = _cycle(send)
    if cycle is not None:
        _connection(cycle).lost = tell
        if tell is not None and cycle.disconnected:
            asyncio.get_running_loop().call_soon(tell)


def _connection(cycle: RequestResponseCycle) -> Protocol:
    connection: Protocol = cycle.on_response.__self__  # type: ignore[attr-defined]  # a bound method of it
    return connection


def _cycle(send: Send) -> RequestResponseCycle | None:
    """The RequestResponseCycle whose ``send`` it is."""
    cycle = getattr(send, "__self__", None)
    return cycle if isinstance(cycle, RequestResponseCycle) else None


def upgrade(send: Send, headers: Headers) -> Taken:
    """Answer 101, and take the connection. Raises ConnectionError when the client has gone."""
    cycle = _cycle(send)
    if cycle is None or cycle.response_started or cycle.disconnected:
        raise ConnectionError("the client left")
    connection = _connection(cycle)
    lines = [b"%b: %b\r\n" % pair for pair in (*cycle.default_headers, *headers)]
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    connection.let_go()
    cycle.transport.write(b"".join((STATUS_LINE[101], *lines, b"\r\n")))
    return Taken(cycle.transport, connection.connections, connection.patience.answer_s)  # type: ignore[arg-type]


__all__ = ["Taken", "answer", "chunk_writer", "on_lost", "send_file", "upgrade"]
