"""What of this process's own objects others hold."""

from __future__ import annotations

import contextvars
from itertools import count
from typing import Any, NamedTuple

from runtime.values import JsException

DISPOSED = "RPC stub used after being disposed."


class Lent(NamedTuple):
    """``context``: of the event that lent it, for what it asks for while it is called."""

    value: Any
    context: contextvars.Context


class Loans:
    """An object that goes over by reference (a function, an ``RpcTarget``) gets a number, and stays here until whoever
    holds that number has let go: the supervisor's note ``returned`` tells."""

    def __init__(self) -> None:
        self._lent: dict[int, Lent] = {}
        self._numbers = count(1)

    def lend(self, value: object) -> int:
        number = next(self._numbers)
        self._lent[number] = Lent(value, contextvars.copy_context())
        return number

    def find(self, number: int) -> Lent:
        """Raises JsException: it is lent no more."""
        try:
            return self._lent[number]
        except KeyError:
            raise JsException(DISPOSED) from None

    def returned(self, number: int) -> None:
        self._lent.pop(number, None)


__all__ = ["DISPOSED", "Lent", "Loans"]
