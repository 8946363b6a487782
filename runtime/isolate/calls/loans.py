"""What of this process's own objects others hold."""

from __future__ import annotations

import contextvars
from itertools import count
from typing import Any, NamedTuple

from runtime.values import JsException
from runtime.wire import Named

DISPOSED = "RPC stub used after being disposed."


class Lent(NamedTuple):
    """``context``: of the event that lent it, for what it asks for while it is called. ``answers``: the call that it is
    an answer to, or part of one; 0: it is an argument."""

    value: Any
    context: contextvars.Context
    answers: int


class Loans:
    """An object that goes over by reference (a function, an ``RpcTarget``) gets a number, and stays here until whoever
    holds that number has let go: the supervisor's note ``returned`` tells."""

    def __init__(self) -> None:
        self._lent: dict[int, Lent] = {}
        self._numbers, self._answers = count(1), Named()

    def lend(self, value: object, *, answers: bool = False) -> int:
        """``answers``: to the call at hand."""
        number = next(self._numbers)
        call = self._answers.add(number) if answers else 0
        self._lent[number] = Lent(value, contextvars.copy_context(), call)
        return number

    def find(self, number: int) -> Lent:
        """Raises JsException: it is lent no more."""
        try:
            return self._lent[number]
        except KeyError:
            raise JsException(DISPOSED) from None

    def returned(self, number: int) -> None:
        if (lent := self._lent.pop(number, None)) is not None:
            self._answers.forget(lent.answers, number)

    def unheard(self, call: int) -> None:
        """Nobody got what was lent with the answer to it."""
        for number in self._answers.unheard(call):
            del self._lent[number]


__all__ = ["DISPOSED", "Lent", "Loans"]
