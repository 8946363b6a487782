"""The supervisor's end of a channel to a process that runs someone's code.

Everything that such a peer can make this process do is bounded: what it has outstanding (``Credit``), what one message
may hold, and for how long its frames are looked at before the loop turns. One that goes beyond, or that sends what no
channel sends, is ended: ``excess`` says why. What is not read meanwhile stays in the socket, and holds the peer up.
"""

from __future__ import annotations

import asyncio
import contextvars
import socket
from collections.abc import AsyncIterator, Callable, Container, Coroutine, Generator
from functools import partial
from time import perf_counter
from typing import Any, Self, cast

from runtime.wire.channel import Channel, Handler
from runtime.wire.counted import CountedStream
from runtime.wire.credit import Credit, CreditExceeded
from runtime.wire.errors import clipped
from runtime.wire.frames import LENGTH_BYTES, MALFORMED, decode
from runtime.wire.protocol import CALL, CANCEL, DROP, END, ERROR, ITEM, NOTE, PULL, RESULT, SOCKET, WINDOW, Frame
from runtime.wire.sliced import SMALL_BYTES, Join, Slices, answers, at_once, count

_SLICE_S = 0.001  # of one peer's frames, before others have their turn
_TINY_BYTES = 256  # of a frame whose values are not worth counting
_FEW = 8  # frames that need no look at the clock, if they begin nothing
_TASKS = 16, 2  # begun at a time, before others have their turn; the fewer, the longer those take
_LONG_TURN_S = 0.004
_CREDIT = Credit()
_STRAYS = 2 * WINDOW  # frames for what is just over, as they may cross: at the beginning,
_STRAYS_PER_OFFER, _STRAYS_PER_CALL = 4, 1  # and more with each of these
_NO_MESSAGE = "sent what is no message of its runtime"


class GuardedChannel(Channel):
    """``on_excess(why)`` is called once, if the peer goes beyond its credit; the channel is closed by then."""

    _stream = CountedStream

    def __init__(
        self,
        handler: Handler,
        credit: Credit,
        on_excess: Callable[[str], None],
        on_note: Callable[[str, list[Any]], None] | None = None,
    ) -> None:
        super().__init__(handler, on_note)
        self._credit, self._on_excess = credit, on_excess
        self.excess: str | None = None
        self.held = self._values = 0  # bytes and values of the peer's that are kept here
        self.strays = _STRAYS
        self._unread = bytearray()  # what has come and was not looked at
        self._work: Generator[Join | None] | None = None  # looks at it
        self._known: dict[int, Container[int]] = {
            RESULT: self._calls, ERROR: self._calls, END: self._reading, PULL: self._offers, DROP: self._offers,
            CANCEL: self._serving,
        }  # fmt: skip
        self._paused, self._turned = False, 0.0
        self._begun = 0  # tasks, since the last pause
        self.passed = 0  # frames that nothing more is to be done about, of the message in hand
        self._share = (0, 0)  # bytes and values of a frame of the message in hand; -1 values: not counted yet

    @classmethod
    async def guard(
        cls,
        sock: socket.socket,
        handler: Handler,
        on_excess: Callable[[str], None],
        credit: Credit = _CREDIT,
        on_note: Callable[[str, list[Any]], None] | None = None,
    ) -> Self:
        """As ``open``. Without ``on_note`` the peer may send no note."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(handler, credit, on_excess, on_note), sock=sock)
        return channel

    # What it is told to do

    def offer(self, source: AsyncIterator[Any]) -> int:
        if len(self._offers) >= self._credit.streams:
            self._end(f"has more than {self._credit.streams:,} streams open")
        self.strays += _STRAYS_PER_OFFER
        return super().offer(source)

    @property
    def room(self) -> int:
        """How many streams more may be offered."""
        return self._credit.streams - len(self._offers)

    @property
    def reads(self) -> bool:
        """Whether a stream of the peer's is open here."""
        return len(self._reading) > 0

    def hold(self, size: int) -> None:
        """So many bytes of the peer's are kept here. Raises CreditExceeded."""
        self.held += size
        if self.held > self._credit.held:
            raise CreditExceeded(f"has more than {self._credit.held >> 20} MiB on their way")

    def _unwanted(self, number: int) -> None:
        self.strays += 1
        super()._unwanted(number)

    def _held_up(self) -> None:
        super()._held_up()
        if self.congested and self._transport is not None:
            waiting = self._transport.get_write_buffer_size()
            if waiting > self._credit.unread:
                self._end(f"does not read what it is sent: {self._credit.unread >> 20} MiB wait for it")

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if self._work is not None:
            self._unread += data
        elif self._unread or not self._look_at_once(data):
            self._unread += data
            self._work = self._look()
            self._go_on()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._work = None
        super().connection_lost(exc)

    def _go_on(self, _: object = None) -> None:
        """One slice of what has come."""
        work, now, self._begun = self._work, perf_counter(), 0
        most = _TASKS[now - self._turned > _LONG_TURN_S] if self._paused else _TASKS[0]
        try:
            for join in work or ():
                if join is not None:
                    return self._pause(self._loop.run_in_executor(None, join.run).add_done_callback)
                if self._begun >= most or perf_counter() > now + _SLICE_S:
                    self._turned = perf_counter()
                    return self._pause(lambda again: self._loop.call_soon(again, None))
        except CreditExceeded as error:
            return self._end(str(error))
        except MALFORMED:
            return self._end(_NO_MESSAGE)
        self._work = None
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _pause(self, then: Callable[[Callable[[object], None]], object]) -> None:
        """Go on later, and read no more meanwhile."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        then(self._go_on)

    def _look_at_once(self, data: bytes) -> bool:
        """Whether it was one message, of few frames that are small, or answers, as nearly all are."""
        size = len(data) - LENGTH_BYTES
        if int.from_bytes(data[:LENGTH_BYTES], "little") != size:
            return False
        try:
            message = data[LENGTH_BYTES:]
            frames = decode(message) if size <= SMALL_BYTES else answers(message)
            if frames is None or len(frames) > _FEW:
                return False
            self._share = size // (len(frames) or 1), -1
            self._receive_all(frames)
        except CreditExceeded as error:
            self._end(str(error))
        except MALFORMED:
            self._end(_NO_MESSAGE)
        return True

    def _receive_all(self, frames: list[Frame]) -> None:
        """What they send leaves behind the steps of the tasks that they begin or wake, which mostly send something; at
        once, where they were all passed on."""
        turns, self._begun, self.passed = self._turns, 0, 0
        turns.held = True
        try:
            for frame in frames:
                self._receive(frame)
        finally:
            turns.held = False
            if self.passed == len(frames):
                turns.now()
            elif self._begun or turns.waiting or frames[0][0] in (RESULT, ERROR):
                turns.soon()

    def _look(self) -> Generator[Join | None]:
        """At every message that is whole."""
        at = 0
        while (size := self._size(at)) is not None:
            at += LENGTH_BYTES
            frames, values = at_once(self._unread, at, size), -1
            if frames is None:
                slices = Slices(memoryview(self._taken(at + size))[at : at + size], self._credit)
                at = -size  # what is left begins with what comes after it
                yield from slices
                frames, values = slices.result, slices.values
            at += size
            many = max(1, len(frames))
            self._share = size // many, values // many
            for looked_at, frame in enumerate(frames, 1):
                self._receive(frame)
                if self._begun or looked_at % _FEW == 0:
                    yield None
        del self._unread[:at]

    def _size(self, at: int) -> int | None:
        """Of the message that begins there; None: it is not whole."""
        if len(self._unread) < at + LENGTH_BYTES:
            return None
        size = int.from_bytes(self._unread[at : at + LENGTH_BYTES], "little")
        if size > self._credit.message:
            raise CreditExceeded(f"sent a message of {size} bytes; {self._credit.message} are allowed")
        return size if len(self._unread) >= at + LENGTH_BYTES + size else None

    def _taken(self, end: int) -> bytearray:
        """What has come up to there: the rest, which is short, is copied, not this."""
        taken, self._unread = self._unread, self._unread[end:]
        return taken

    def _receive(self, frame: Frame) -> None:
        kind, number = frame[0], frame[1]
        if kind == ITEM:
            if (stream := self._reading.get(number)) is not None:
                return stream._arrived(frame[2])
            return self._stray()
        if kind == SOCKET:
            if (end := self.sockets.get(number)) is not None:
                return end.arrived(frame[2])
            return self._stray()
        if kind == CALL:
            return self._admit(frame)
        if kind == NOTE and self._on_note is not None:
            return self._on_note(frame[2], frame[3])
        if (known := self._known.get(kind)) is None:
            raise CreditExceeded("sent a frame of a kind that is not for it to send")
        if number not in known:
            self._stray()
        if kind == PULL:
            self._check_pull(number, frame[2])
        elif kind in (ERROR, END) and len(frame) > 2:
            frame = [kind, number, *clipped(*frame[2:])]
        super()._receive(frame)

    def _stray(self) -> None:
        """For what nobody waits for: it may have crossed the word that it is wanted no more, but so often only."""
        self.strays -= 1
        if self.strays < 0:
            raise CreditExceeded("answers what it was not asked")

    def _admit(self, frame: Frame) -> None:
        """One call more."""
        number, args, (size, values) = frame[1], frame[3], self._share
        if number in self._serving:
            raise CreditExceeded("sent two calls of one number")
        if len(self._serving) >= self._credit.calls or len(self._tasks) >= self._credit.calls + self._credit.streams:
            raise CreditExceeded(f"has more than {self._credit.calls:,} calls that are not answered yet")
        if values < 0:  # a value is a byte at least
            values = size if size <= _TINY_BYTES else count(args)
        self._values += values
        if self._values > self._credit.values:
            raise CreditExceeded(f"has more than {self._credit.values:,} values in calls that are not answered yet")
        self.hold(size)
        self._begun += 1
        self._begin(frame, partial(self._release, size, values))

    def _begin(self, frame: Frame, release: Callable[[object], None]) -> None:
        super()._receive(frame)
        cast("asyncio.Task[None]", self._serving[frame[1]]).add_done_callback(release)

    def _release(self, size: int, values: int, _: object) -> None:
        self.held -= size
        self._values -= values
        self.strays += _STRAYS_PER_CALL

    def _cancel_call(self, number: int) -> None:
        """Once it has begun: whoever serves it has taken what came with it by then, and lets go of that."""
        self._loop.call_soon(super()._cancel_call, number)

    def spawn(self, work: Coroutine[Any, Any, None], context: contextvars.Context | None = None) -> asyncio.Task[None]:
        self._begun += 1
        return super().spawn(work, context)

    def _check_pull(self, number: int, credit: object) -> None:
        """More than a window is never asked for: it would be for ever."""
        asked = getattr(self._offers.get(number), "credit", 0)
        if not isinstance(credit, int) or not 0 < credit <= WINDOW or asked + credit > WINDOW:
            raise CreditExceeded(f"asked for more than {WINDOW} parts of a stream at a time")

    def _end(self, why: str) -> None:
        if self.excess is None and not self.closed.is_set():
            self.excess, self._work = why, None
            self.abort()
            self._on_excess(why)


__all__ = ["GuardedChannel"]
