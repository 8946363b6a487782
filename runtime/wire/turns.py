"""What the channels of one event loop have to send leaves together, behind the steps that the loop has before it: a
call that comes in by one and goes on by another one leaves in the same turn."""

from __future__ import annotations

import asyncio
from typing import Protocol
from weakref import WeakKeyDictionary


class Sender(Protocol):
    def _flush(self) -> None: ...


class Turns:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self.waiting: list[Sender] = []
        self._comes = False  # the end of this turn
        self.held = False  # who has it so sees to what was added meanwhile

    def add(self, sender: Sender) -> None:
        """It has something to send."""
        self.waiting.append(sender)
        if not self.held:
            self.soon()

    def soon(self) -> None:
        """Behind what the loop has to do already; whoever has something to send by then is flushed."""
        if not self._comes:
            self._comes = True
            self._call_soon(self._end)

    def now(self) -> None:
        """Whatever the loop has to do."""
        comes = self._comes
        self._end()
        self._comes = comes

    def _end(self) -> None:
        self._comes = False
        waiting, self.waiting = self.waiting, []
        for sender in waiting:
            sender._flush()


_known: WeakKeyDictionary[asyncio.AbstractEventLoop, Turns] = WeakKeyDictionary()


def turns() -> Turns:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    if (found := _known.get(loop)) is None:
        found = _known[loop] = Turns(loop)
    return found


__all__ = ["Turns", "turns"]
