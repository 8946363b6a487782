"""Objects that one worker's process has lent to others, and who holds them.

The owner knows its object by one number, each holder by a number of its own: a process can name what it was given, and
nothing else. An object is given back when the last holder lets go of it, whether by its word or by its end.
"""

from __future__ import annotations

from itertools import count
from typing import Protocol, cast

from bindings.messages import CallError
from runtime.supervisor.calls.at_work import AtWork
from runtime.supervisor.calls.channel import PassingChannel
from runtime.supervisor.sockets.ends import End
from runtime.wire import Named

MAX_HELD = 10_000  # by one process


class Stub:
    """One object. It begins with one hold on it, which whoever made it passes on or drops."""

    __slots__ = ("_holds", "number", "owner")

    def __init__(self, owner: Stubs, number: int) -> None:
        self.owner, self.number, self._holds = owner, number, 1
        owner.lent += 1

    def hold(self) -> Stub:
        self._holds += 1
        return self

    def drop(self) -> None:
        self._holds -= 1
        if self._holds == 0:
            self.owner.lent -= 1
            self.owner.channel.note("returned", self.number)


class Sockets(Protocol):
    """The sockets of one process: ``runtime.supervisor.processes.sockets``."""

    def given(self, number: int, event: int, hold: object) -> End:
        """The end that its answer to this event names. Raises ScriptError."""

    def lend(self, socket: End) -> int:
        """Its number for that end. Raises ScriptError."""


class Stubs:
    """Of one process: what it holds, by its numbers. ``lent``: how many objects of its own others hold. ``at_work``:
    what it works for."""

    def __init__(self, at_work: AtWork) -> None:
        self.channel: PassingChannel
        self.sockets: Sockets
        self.at_work, self.lent = at_work, 0
        self._held: dict[int, tuple[Stub, int]] = {}  # with the call that it is an answer to, or 0
        self._numbers, self._answers = count(1), Named()

    def keep(self, stub: Stub, *, answers: bool) -> int:
        """The number for the hold that is passed on; ``answers``: to the process's call at hand. Raises CallError, and
        then it is not."""
        if len(self._held) >= MAX_HELD:
            raise CallError("Error", f"more than {MAX_HELD:,} RPC stubs are held at a time")
        number = next(self._numbers)
        self._held[number] = stub, self._answers.add(number) if answers else 0
        return number

    def find(self, number: int) -> Stub:
        """Raises CallError: this process does not hold it."""
        if (held := self._held.get(number)) is None:
            raise CallError("Error", "RPC stub used after being disposed.")
        return held[0]

    def let_go(self, number: object) -> None:
        held = self._held.pop(number, None) if isinstance(number, int) else None
        if held is not None:
            stub, call = held
            self._answers.forget(call, cast(int, number))
            stub.drop()

    def unheard(self, call: int) -> None:
        """The process did not get what the answer to its call named."""
        for number in self._answers.unheard(call):
            self.let_go(number)

    def clear(self) -> None:
        """The process has ended."""
        held, self._held = self._held, {}
        for stub, _ in held.values():
            stub.drop()


__all__ = ["MAX_HELD", "Sockets", "Stub", "Stubs"]
