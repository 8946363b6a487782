"""What the toy product is in the worker's process, which may read no package that it does not serve."""

from __future__ import annotations

from typing import Any


class Counter:
    """The worker's half."""

    def __init__(self, name: str, caller: Any) -> None:
        self._caller = caller

    async def add(self) -> int:
        total: int = await self._caller.call("add")
        return total


class Count:
    """What the worker's ``count`` handler is given, made in the isolate."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self._kept: list[str] = []

    def keep(self, text: str) -> None:
        self._kept.append(text)

    def outcome(self, returned: object) -> list[str]:
        return self._kept
