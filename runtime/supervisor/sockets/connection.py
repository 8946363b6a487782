"""A TCP connection that has become a WebSocket: a client's, or ours to another server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from runtime.supervisor.sockets import frames
from runtime.supervisor.sockets.deflate import Deflate
from runtime.supervisor.sockets.ends import ABNORMAL, LEFT, RESTARTS, TOO_LARGE, Content, End, Violation
from runtime.supervisor.sockets.quota import MESSAGE_BYTES, Quota

_CLOSE_S = 10.0  # seconds in which a peer answers a Close frame
_SHUTDOWN_S = 2.0  # the same, when the server ends
_LINGER_S = 2.0  # seconds for a client to read that its message is too large
_KEPT_BYTES = 64 * 1024  # of a message that is not whole: more of them counts as waiting


class Connection(asyncio.Protocol):
    """Takes the transport over. ``client``: we are the client. ``patience``: seconds in which the peer must take what
    waits for it, 0: any time. ``deflate``: what both have agreed on. ``ended`` is called once, when it is gone."""

    __slots__ = (
        "_client", "_deflate", "_ended", "_full", "_held", "_kept", "_patience", "_quota", "_reader", "_timer",
        "_transport", "_waiting", "closed_in", "closed_out", "early", "other",
    )  # fmt: skip

    def __init__(
        self, transport: asyncio.Transport, quota: Quota, patience: float, ended: Callable[[Connection], None],
        *, client: bool = False, deflate: Deflate | None = None,
    ) -> None:  # fmt: skip
        self._transport, self._quota, self._patience, self._ended = transport, quota, patience, ended
        self._client, self._deflate = client, deflate
        self._reader = frames.Reader(not client, MESSAGE_BYTES, deflate is not None)
        self._full = self._held = self.closed_in = self.closed_out = False
        self._waiting = self._kept = 0  # bytes, as the quota has them
        self._timer: asyncio.TimerHandle | None = None
        self.early = b""  # what had come before it was a WebSocket
        self.other: End | None = None
        transport.pause_reading()
        transport.set_protocol(self)

    # runtime.supervisor.sockets.ends.End

    def begin(self) -> None:
        early, self.early = self.early, b""
        self._reader.feed(early)
        self.hold(False)

    def take(self, content: Content) -> None:
        if not self.closed_out:
            self._write(frames.message(content, self._client, self._deflate))

    def close(self, code: int, reason: str) -> None:
        if self.closed_out:
            return
        self._write(frames.closing(code, reason, self._client))
        self.closed_out = True
        self._end_within(_CLOSE_S)
        if self.closed_in:
            self._transport.close()
        else:
            self.hold(False)

    def lose(self, code: int, reason: str, error: str = "") -> None:
        self.other = None
        if self.closed_in and self.closed_out:
            return
        if code == ABNORMAL:
            self._transport.abort()
        else:
            self.close(code, reason)

    def hold(self, full: bool) -> None:
        self._held = full
        if full:
            if not self._transport.is_closing():
                self._transport.pause_reading()
            return
        self._read()
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if not self.closed_in:
            self._reader.feed(data)
            self._read()

    def _read(self) -> None:
        """What has come, until the other end can take no more."""
        try:
            while not (self._held or self.closed_in) and (event := self._reader.next()) is not None:
                self._heard(*event)
        except Violation as violation:
            return self._fail(violation)
        if self._kept or self._reader.held > _KEPT_BYTES:
            self._keep(self._reader.held)

    def pause_writing(self) -> None:
        self._full = True
        self._count()
        if self._patience and self._timer is None:
            self._end_within(self._patience)
        if self.other is not None:
            self.other.hold(True)

    def resume_writing(self) -> None:
        self._full = False
        self._count()
        if not self.closed_out:
            self._stop_timer()
        if self.other is not None:
            self.other.hold(False)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_timer()
        self._keep(0)
        self._quota.waiting -= self._waiting
        self._waiting = 0
        other, self.other = self.other, None
        if other is not None and not (self.closed_in and self.closed_out):
            self.closed_in = self.closed_out = True
            other.lose(ABNORMAL, LEFT)
        self._ended(self)

    # uvicorn, of each of its connections

    def shutdown(self) -> None:
        """The server ends."""
        if self.other is not None:
            self.other.lose(RESTARTS, "the server restarts")
        self.close(RESTARTS, "the server restarts")
        self._stop_timer()
        self._end_within(_SHUTDOWN_S)

    def _heard(self, kind: int, content: Any) -> None:
        if kind == frames.MESSAGE:
            if self.other is not None:
                self.other.take(content)
        elif kind == frames.PING:
            if not self.closed_out:
                self._write(frames.pong(content, self._client))
        elif kind == frames.CLOSE:
            self.closed_in = True
            if self.closed_out:
                self._transport.close()
            if self.other is not None:
                self.other.close(*content)

    def _fail(self, violation: Violation) -> None:
        """What comes from here on is read no more."""
        other, self.other = self.other, None
        self.close(violation.code, str(violation))
        self.closed_in = True
        if violation.code == TOO_LARGE:  # it sends on: closed at once, it would never read why
            self._end_within(_LINGER_S, self._transport.close)
        else:
            self._transport.close()
        if other is not None:
            other.lose(ABNORMAL, str(violation), str(violation))

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        if self._full:
            self._count()

    def _count(self) -> None:
        waiting = self._transport.get_write_buffer_size() if self._full else 0
        self._quota.waiting += waiting - self._waiting
        self._waiting = waiting
        if waiting and (why := self._quota.exceeded(waiting)):
            self._drop(why)

    def _keep(self, size: int) -> None:
        size = size if size > _KEPT_BYTES else 0
        self._quota.waiting += size - self._kept
        self._kept = size
        if size and (why := self._quota.exceeded(0)):
            self._drop(why)

    def _drop(self, why: str) -> None:
        self._quota.tell(f"a socket is closed: {why}")
        self._transport.abort()

    def _end_within(self, seconds: float, end: Callable[[], None] | None = None) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, end or self._transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


__all__ = ["Connection"]
