"""Past ``send``: what is sent most, an answer that is whole and a chunk of a stream; a file; and what is no answer at
all, a connection that becomes a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, NamedTuple

from bindings.storage.file_body import FileBody
from runtime.supervisor.http import sendfile
from runtime.supervisor.http.asgi import Headers, Send
from runtime.supervisor.http.light import nothing
from runtime.supervisor.http.protocol import STATUS_LINE, Protocol, RequestResponseCycle

Cycle = Any  # uvicorn's RequestResponseCycle, and ``task``, in which it is answered

_MAX_JOINED_BYTES = 64 * 1024  # bytes; joining a head and a body costs a copy


class Taken(NamedTuple):
    """A connection that is HTTP's no more. ``connections``: the server's, which it has to leave, and where whatever
    has it now is told of the server's end, by ``shutdown()``. ``patience``: seconds to take what waits."""

    transport: asyncio.Transport
    connections: set[object]
    patience: float


def cycle_of(send: Send) -> Cycle | None:
    """Whose ``send`` it is, if that is uvicorn's."""
    cycle = getattr(send, "__self__", None)
    return cycle if isinstance(cycle, RequestResponseCycle) else None


def answer(cycle: Cycle | None, status: int, headers: Headers, body: bytes) -> bool:
    """Send all of an answer in one system call, without awaiting anything. ``headers`` are what ``heads.head`` made.
    False, and nothing is sent, wherever that is not all there is to it, and ``send`` knows what to do."""
    if cycle is None or not takes_whole(cycle):
        return False
    lengths = [value for name, value in headers if name == b"content-length"]
    if len(lengths) != 1 or int(lengths[0]) != len(body):
        return False
    write_whole(cycle, status, b"\r\n".join((*map(b": ".join, headers), b"", b"")), body)
    return True


def takes_whole(cycle: Cycle) -> bool:
    """Whether all of an answer could be sent at once."""
    started = cycle.response_started or cycle.disconnected
    return not started and cycle.keep_alive and not cycle.flow.write_paused and cycle.scope["method"] != "HEAD"


def write_whole(cycle: Cycle, status: int, lines: bytes, body: bytes) -> None:
    """``lines``: of the head, with the empty one, without those that are every answer's."""
    opening = _opening(status, tuple(cycle.default_headers))
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.response_complete = True
    if len(body) <= _MAX_JOINED_BYTES:
        cycle.transport.write(b"".join((opening, lines, body)))
    else:
        cycle.transport.writelines((opening + lines, body))
    cycle.message_event.set()
    cycle.on_response()


@lru_cache(256)  # the date is in it: one second's
def _opening(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """The first lines of a head."""
    return b"".join((STATUS_LINE[status], *(b"%b: %b\r\n" % pair for pair in headers)))


def takes_chunks(cycle: Cycle) -> bool:
    """Whether an answer could begin at once, whose length is not known."""
    return cycle.chunked_encoding is None and takes_whole(cycle)


def begin_chunks(cycle: Cycle, status: int, lines: bytes) -> None:
    """``lines``: as for ``write_whole``."""
    cycle.waiting_for_100_continue = False
    cycle.response_started = cycle.chunked_encoding = True
    cycle.transport.write(_opening(status, tuple(cycle.default_headers)) + lines)


def end_chunks(cycle: Cycle) -> None:
    cycle.response_complete = True
    cycle.message_event.set()
    cycle.transport.write(b"0\r\n\r\n")
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def chunk_writer(cycle: Cycle | None, begins: Callable[[], None] | None = None) -> Callable[[bytes], bool] | None:
    """To write a chunk of the answer now, without awaiting anything. False: not now, the client is slow or has left,
    and ``send`` knows what to do. None where the body is not sent in chunks. ``begins()`` is told of the first."""
    if cycle is None or not cycle.chunked_encoding:
        return None
    write, is_closing, flow = cycle.transport.write, cycle.transport.is_closing, cycle.flow

    def now(chunk: bytes) -> bool:
        nonlocal begins
        if flow.write_paused or cycle.disconnected or is_closing():
            return False
        if chunk:  # an empty one would be the body's end
            write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if begins is not None:
                begins()
                begins = None
        return True

    return now


async def send_file(cycle: Cycle | None, body: FileBody) -> None:
    """The body of the answer that ``send`` has begun, past this process; or nothing of it, where that is not possible.
    Its end is still ``send``'s to say. Raises ConnectionError when the client has gone."""
    if cycle is None or cycle.chunked_encoding is not False or cycle.disconnected:
        return

    def count(sent: int) -> None:
        cycle.expected_content_length -= sent

    await sendfile.send(cycle.transport, body, count)


def on_lost(cycle: Cycle, tell: Callable[[], None] | None, shut: Callable[[], None] | None = None) -> None:
    """Have ``tell`` called if its client goes; None: no more. ``shut``: if the server ends."""
    connection = connection_of(cycle)
    connection.lost, connection.shut = tell, shut
    if tell is not None and cycle.disconnected:
        asyncio.get_running_loop().call_soon(tell)


def begin_task(cycle: Cycle, work: Callable[..., Awaitable[None]]) -> None:
    """For a request that had none. ``work`` is given what an application is."""
    connection_of(cycle).begin_task(cycle, work)


def let_go(cycle: Cycle) -> None:
    """Its request is over: it holds its connection no more, which holds it."""
    cycle.on_response = nothing


def connection_of(cycle: Cycle) -> Protocol:
    connection: Protocol = cycle.on_response.__self__  # a bound method of it
    return connection


def whole_body(cycle: Cycle | None) -> bytes | None:
    """Of the request; None: it has not come yet. It is still ``receive``'s to give, until ``forget_body``."""
    return None if cycle is None or cycle.more_body else bytes(cycle.body)


def forget_body(cycle: Cycle) -> None:
    cycle.body = b""


def upgrade(cycle: Cycle | None, headers: Headers) -> Taken:
    """Answer 101, and take the connection. Raises ConnectionError when the client has gone."""
    if cycle is None or cycle.response_started or cycle.disconnected:
        raise ConnectionError("the client left")
    connection = connection_of(cycle)
    lines = [b"%b: %b\r\n" % pair for pair in (*cycle.default_headers, *headers)]
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    connection.let_go()
    cycle.transport.write(b"".join((STATUS_LINE[101], *lines, b"\r\n")))
    return Taken(cycle.transport, connection.connections, connection.patience.answer_s)  # type: ignore[arg-type]


__all__ = [
    "Taken",
    "answer",
    "begin_chunks",
    "begin_task",
    "chunk_writer",
    "connection_of",
    "cycle_of",
    "end_chunks",
    "forget_body",
    "let_go",
    "on_lost",
    "send_file",
    "takes_chunks",
    "takes_whole",
    "upgrade",
    "whole_body",
    "write_whole",
]
