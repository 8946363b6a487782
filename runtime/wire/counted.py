"""Where a stream is read whose source someone else's code is: what it sends is counted."""

from __future__ import annotations

from typing import Any, Protocol

from runtime.wire.credit import MAX_CHUNK, CreditExceeded
from runtime.wire.protocol import StreamChannel
from runtime.wire.streams import RemoteStream


class Keeper(StreamChannel, Protocol):
    """A channel, as these streams know it."""

    held: int
    """Bytes that are kept here and were taken by nobody yet."""

    strays: int
    """Frames that may still come for what is over."""

    def hold(self, size: int) -> None:
        """So many bytes more. Raises CreditExceeded."""


class CountedStream(RemoteStream):
    """A stream of bytes whose source sends no more than it was asked for."""

    __slots__ = ("_due",)

    _channel: Keeper

    def __init__(self, channel: Keeper, handle: int, window: int) -> None:
        super().__init__(channel, handle, window)
        self._due = window

    def drop(self) -> None:
        self._let_go()
        super().drop()

    def __del__(self) -> None:
        self._let_go()
        super().__del__()

    def _let_go(self) -> None:
        self._channel.held -= sum(map(len, self._items))
        self._channel.strays += self._due + 1

    def _grant(self, item: Any) -> None:
        self._channel.held -= len(item)
        self._due += 1
        super()._grant(item)

    def _arrived(self, item: Any) -> None:
        if type(item) is not bytes or len(item) > MAX_CHUNK:
            raise CreditExceeded(f"sent a part of a stream that is not bytes, or more than {MAX_CHUNK} of them")
        if self._due <= 0 or not self.started:
            raise CreditExceeded("sent more of a stream than it was asked for")
        if self._sink is not None and (self._flow or self._waiter) and not self._items and self._sink(item):
            return super()._grant(item)
        self._due -= 1
        self._channel.hold(len(item))
        self._keep(item)


__all__ = ["CountedStream"]
