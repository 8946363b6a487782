"""The sending half of a channel: frames are gathered until the loop's turn ends, and written at once."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import cast

from runtime.wire.frames import GATHERED_BYTES, MAX_FRAME_BYTES, encode, packed, well_formed
from runtime.wire.protocol import DROP, NOTE, Frame
from runtime.wire.turns import turns

_serials = count(1)
_HIGH_WATER = 1024 * 1024  # bytes that the peer has not read, from which on its streams wait


class Outgoing(asyncio.Protocol):
    """Frames out, over the transport it is made for."""

    max_frame = MAX_FRAME_BYTES
    """Bytes of the largest frame that the peer takes."""

    def __init__(self) -> None:
        self.serial = next(_serials)
        self._loop, self._turns = asyncio.get_running_loop(), turns()
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._queued_bytes = 0  # in _outgoing
        self._flushes = False  # by the end of this turn
        self._is_full = False  # the transport: the peer does not read
        self.congested = False
        self.closed = asyncio.Event()
        self.is_open = True  # until then

    def send(self, frame: Frame) -> None:
        if not self.is_open:
            return
        try:
            body = encode(frame)
        except UnicodeEncodeError:
            body = encode(well_formed(frame))
        if len(body) > self.max_frame:
            raise ValueError(
                f"a message of {len(body)} bytes is over the limit of {self.max_frame}; send it as a stream"
            )
        if not self._flushes:
            self._flushes = True
            self._turns.add(self)
        if self._outgoing and self._queued_bytes + len(body) > min(GATHERED_BYTES, self.max_frame):
            self._flush()
        self._outgoing.append(body)
        self._queued_bytes += len(body)
        if self._queued_bytes > _HIGH_WATER:
            self.congested = True

    def send_now(self, frame: Frame) -> None:
        """The same of one that nothing else follows in this turn."""
        flushes, self._flushes = self._flushes, True
        try:
            self.send(frame)
            self._flush()
        finally:
            self._flushes = flushes

    def note(self, op: str, *args: object) -> None:
        """Tell the peer; no answer."""
        self.send([NOTE, 0, op, args])

    def drop_later(self, handle: int) -> None:
        self.send_later([DROP, handle])

    def send_later(self, frame: Frame) -> None:
        """From a destructor, which may run in any thread and after the loop has closed."""
        if not self.closed.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.send, frame)

    def abort(self) -> None:
        """The peer is known to be gone, whoever else may hold its end of the socket open."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        self._flushes = False
        frames = self._outgoing
        if frames and self._transport is not None and not self._transport.is_closing():
            parts = packed(frames, self._queued_bytes)
            if self._queued_bytes <= GATHERED_BYTES:
                self._transport.write(b"".join(parts))
            else:  # to join a large frame is to copy it
                self._transport.writelines(parts)
        frames.clear()
        self._queued_bytes = 0
        if self.congested:
            self._held_up()

    def _held_up(self) -> None:
        """What was congested is written, or waits for the peer to read."""
        if not self._is_full:
            self.resume_writing()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)

    def pause_writing(self) -> None:
        self._is_full = self.congested = True

    def resume_writing(self) -> None:
        """What waits for the peer to read may go on."""
        self._is_full = self.congested = False


__all__ = ["Outgoing"]
