"""A stream that is written to: its items are handed over by a call, and no task is switched to for each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.wire.errors import describe
from runtime.wire.protocol import END, ITEM, UNLIMITED, StreamChannel


class PushSource:
    """What an async iterator is to ``Channel.offer``, the other way round: whoever has an item ``put``s it.

    What the peer has not asked for yet is kept as one item: ``join(kept, item)`` makes one of two. ``on_left()`` is
    called once if the peer wants no more, or has gone, before ``end``.
    """

    __slots__ = ("_channel", "_credit", "_end", "_handle", "_join", "_kept", "_on_left")

    def __init__(self, join: Callable[[Any, Any], Any], on_left: Callable[[], None]) -> None:
        self._join = join
        self._on_left: Callable[[], None] | None = on_left  # None once it is over: whoever is behind it is free to go
        self._channel: StreamChannel | None = None
        self._handle, self._credit = 0, 0
        self._kept: Any = None
        self._end: list[Any] | None = None

    def put(self, item: Any) -> None:
        """One item more; not None."""
        if self._credit and self._channel is not None:
            self._credit -= self._credit != UNLIMITED
            self._channel.send([ITEM, self._handle, item])
        else:
            self._kept = item if self._kept is None else self._join(self._kept, item)

    def end(self, error: BaseException | None = None) -> None:
        """No more items; the peer hears of it after the last one."""
        self._on_left = None
        self._end = [] if error is None else [*describe(error)]
        self._finish()

    # runtime.wire.protocol.OfferedStream

    call = 0

    def unread(self) -> None:
        """None: it began when the peer asked for it."""

    def attach(self, channel: StreamChannel, handle: int) -> None:
        self._channel, self._handle = channel, handle

    def pull(self, credit: int) -> None:
        self._credit = UNLIMITED if credit == UNLIMITED else self._credit + credit
        if self._kept is not None:
            item, self._kept = self._kept, None
            self.put(item)
        self._finish()

    def wake(self) -> None:
        """Nothing waits: what the peer has asked for is written at once."""

    def drop(self) -> None:
        self._channel, self._kept = None, None
        on_left, self._on_left = self._on_left, None
        if on_left is not None:
            on_left()

    def _finish(self) -> None:
        if self._end is not None and self._kept is None and self._channel is not None:
            channel, self._channel = self._channel, None
            channel.withdraw(self._handle)
            channel.send([END, self._handle, *self._end])
