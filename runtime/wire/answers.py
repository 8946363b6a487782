"""What answers name, until it is let go of: where an answer is not heard, nobody else knows of it."""

from __future__ import annotations

from runtime.wire.protocol import current_call


class Named:
    """Numbers, by the peer's call whose answer names them."""

    def __init__(self) -> None:
        self._by_call: dict[int, set[int]] = {}

    def add(self, number: int) -> int:
        """The answer to the call at hand names it. That call."""
        call = current_call.get().number
        self._by_call.setdefault(call, set()).add(number)
        return call

    def forget(self, call: int, number: int) -> None:
        """It is let go of."""
        if (named := self._by_call.get(call)) is not None:
            named.discard(number)
            if not named:
                del self._by_call[call]

    def unheard(self, call: int) -> set[int]:
        """What it has named: nobody will let go of that."""
        return self._by_call.pop(call, set())


__all__ = ["Named"]
