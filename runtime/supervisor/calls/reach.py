"""How another worker is found by its name."""

from __future__ import annotations

from typing import Protocol

from runtime.errors import UserError
from runtime.supervisor.calls.call import Callee


class NotRunning(UserError):
    """There is no such worker."""

    def __init__(self, worker: str) -> None:
        super().__init__(f'Worker "{worker}" not found. Make sure it is running locally.')


class Reach(Protocol):
    async def __call__(self, worker: str) -> Callee:
        """The version of it that answers. Raises ``NotRunning``, or the ``UserError`` of why not."""

    def at_hand(self, worker: str) -> Callee | None:
        """The same, where nothing is to be waited for, nor told."""


class _Nowhere:
    async def __call__(self, worker: str) -> Callee:
        raise NotRunning(worker)

    def at_hand(self, worker: str) -> None:
        """Nobody."""


NOWHERE: Reach = _Nowhere()

__all__ = ["NOWHERE", "NotRunning", "Reach"]
