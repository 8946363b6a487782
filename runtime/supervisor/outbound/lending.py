"""What a shut-in isolate asks for on its line, which needs no turn of its event loop: names, and TCP connections within
the rules that outbound fetches have. ``runtime.isolate.sandbox.sockets`` is the other end.

Theory of operation
-------------------
A question comes with one end of a socket pair, on which the answer goes, with a stream beside it that leads to the
connection: one end of another pair, whose bytes are copied here both ways. The line and the ends of answers are made
by the isolate, which can make a descriptor block that we share with it; nothing here relies on that. Each call says
itself that it must not wait.
"""

from __future__ import annotations

import array
import asyncio
import errno
import os
import select
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from contextlib import suppress

import msgspec

from runtime.errors import ScriptError
from runtime.isolate.boot import Addresses, Connect, Connected, Failed, Resolve
from runtime.supervisor.outbound import Outbound
from runtime.supervisor.outbound.errors import IN_TIME, text_of
from runtime.supervisor.sockets.quota import Quota

_CHUNK_BYTES = 64 * 1024
_QUESTION_BYTES = 4096
_WRITE_S = 300.0  # in which the peer takes what is written
_MAX_ASKED = 100  # questions of one isolate at a time
_MAX_ADDRESSES = 64
_AT_ONCE = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
_questions = msgspec.msgpack.Decoder(Resolve | Connect)

Ends = tuple[StreamReader, StreamWriter]


class Lender:
    """One isolate's. ``ask`` counts what an event asks for, and raises ScriptError beyond its limit."""

    def __init__(self, line: int, outbound: Outbound, ask: Callable[[int], object], quota: Quota) -> None:
        self._line, self._outbound, self._ask, self._quota = socket.socket(fileno=line), outbound, ask, quota
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = 0
        asyncio.get_running_loop().add_reader(line, self._next)

    def close(self) -> None:
        """The isolate is gone."""
        self._hang_up()
        for task in self._tasks:
            task.cancel()

    def _hang_up(self) -> None:
        if self._line.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._line.fileno())
            self._line.close()

    def _next(self) -> None:
        try:
            question, reply = _received(self._line)
        except BlockingIOError:
            return
        except OSError:
            return self._hang_up()
        if self._asked >= _MAX_ASKED:
            with reply:
                return _send(reply, Failed(errno.EAGAIN, f"more than {_MAX_ASKED} connections are being made"))
        task = asyncio.create_task(self._answer(question, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, question: bytes, reply: socket.socket) -> None:
        self._asked += 1
        try:
            with reply:
                connection = await self._answered(question, reply)
        finally:
            self._asked -= 1
        if connection is not None:
            try:
                await _both_ways(*connection)
            finally:
                self._quota.open -= 1

    async def _answered(self, question: bytes, reply: socket.socket) -> tuple[Ends, Ends] | None:
        """The connection, if that is what was asked for, and is there."""
        try:
            asked = _questions.decode(question)
            if isinstance(asked, Connect):
                return await self._connected(asked, reply)
            _send(reply, await self._resolved(asked))
        except (OSError, ValueError, OverflowError, msgspec.MsgspecError, ScriptError) as error:
            _send(reply, _failed(error))
        return None

    async def _resolved(self, asked: Resolve) -> Addresses:
        return Addresses((await self._outbound.resolve(asked))[:_MAX_ADDRESSES])

    async def _connected(self, asked: Connect, reply: socket.socket) -> tuple[Ends, Ends]:
        """The isolate's side of it, and the peer's. Raises OSError, ScriptError beyond the quota."""
        self._ask(asked.event)
        self._quota.enter()
        try:
            theirs = await self._outbound.connect(asked.host, asked.port)
            try:
                return await _lent(reply, theirs[1]), theirs
            except BaseException:
                theirs[1].close()
                raise
        except BaseException:
            self._quota.open -= 1
            raise


async def _lent(reply: socket.socket, peer: StreamWriter) -> Ends:
    """The other end of the stream that goes to the isolate. Raises OSError."""
    ours, lent = socket.socketpair()
    try:
        with lent:
            peer_name, own_name = (tuple(peer.get_extra_info(which)) for which in ("peername", "sockname"))
            _send(reply, Connected(peer_name, own_name), lent.fileno())
        ours.setblocking(False)
        return await asyncio.open_unix_connection(sock=ours)
    except BaseException:
        ours.close()
        raise


async def _both_ways(ours: Ends, theirs: Ends) -> None:
    """Until both are at their end, or one of the two has gone."""
    ways = {
        asyncio.create_task(_copy(ours[0], theirs[1], _WRITE_S)),
        asyncio.create_task(_copy(theirs[0], ours[1], None)),
    }
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        if all(way.result() for way in done) and not _has_hung_up(ours[1]):
            await asyncio.wait(ways)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        ours[1].close()
        theirs[1].close()


async def _copy(reader: StreamReader, writer: StreamWriter, within: float | None) -> bool:
    """Whether it came to its end. ``within``: seconds, for the reader of what is written."""
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            async with asyncio.timeout(within):
                await writer.drain()
        writer.write_eof()
        return True
    return False


def _has_hung_up(writer: StreamWriter) -> bool:
    """The other end is closed, rather than only its half of the connection."""
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), 0)
    return bool(poll.poll(0))


def _received(line: socket.socket) -> tuple[bytes, socket.socket]:
    """A question, and where its answer goes. Raises OSError: there will be none any more."""
    room = socket.CMSG_LEN(array.array("i").itemsize)
    flags = socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
    question, beside, _, _ = line.recvmsg(_QUESTION_BYTES, room, flags)
    descriptors = array.array("i", b"".join(data for _, _, data in beside))
    if len(descriptors) != 1:
        raise ConnectionAbortedError("the line is closed, or misused")
    try:
        return question, socket.socket(fileno=descriptors[0])
    except OSError:
        os.close(descriptors[0])
        raise


def _send(reply: socket.socket, answer: Addresses | Connected | Failed, lent: int | None = None) -> None:
    """What cannot be told, nobody waits for."""
    beside = [] if lent is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [lent]))]
    with suppress(OSError):
        reply.sendmsg([msgspec.msgpack.encode(answer)], beside, _AT_ONCE)


def _failed(error: Exception) -> Failed:
    if isinstance(error, TimeoutError) and error.errno is None:
        return Failed(errno.ETIMEDOUT, IN_TIME)
    return Failed(getattr(error, "errno", None) or errno.EPERM, text_of(error), isinstance(error, socket.gaierror))


__all__ = ["Lender"]
