"""What one version of a worker has loaded: so many at a time, and each for as long as it is used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from bindings.base import CallError
from bindings.worker_loaders.loaded import Loaded

_SWEEP_S = 1.0
_ROOM_S = 10.0  # that one which is let go of may take to make room


class Shelf:
    def __init__(self, most: int, idle_s: float) -> None:
        self._most, self._idle_s = most, idle_s
        self._loaded: dict[Any, Loaded] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._sweeping: asyncio.TimerHandle | None = None

    def find(self, key: Any) -> Loaded | None:
        if (found := self._loaded.get(key)) is None or not found.is_open:
            return None
        found.expect()
        return found

    async def get(self, key: Any, make: Callable[[], Loaded]) -> Loaded:
        """The one of that key, loaded by whoever asked first. Raises CallError: it does not load, or there are too
        many."""
        while (found := self._loaded.get(key)) is None:
            if len(self._loaded) + len(self._leaving) >= self._most:
                await self._make_room()
            else:
                found = self._loaded[key] = make()
                self._sweep_later()
        try:
            await found.open()
        except BaseException:
            if self._loaded.get(key) is found and not found.is_open and not found.waiting:
                self._let_go(key)
            raise
        found.expect()
        return found

    async def aclose(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for key in list(self._loaded):
            self._let_go(key)
        await asyncio.gather(*self._leaving, return_exceptions=True)  # cancelled, it cancels them, and waits for that

    async def _make_room(self) -> None:
        """The one that has rested longest goes, unless one is on its way out."""
        resting = [(one.used, key) for key, one in self._loaded.items() if one.rests]
        if resting and not self._leaving:
            self._let_go(min(resting, key=lambda found: found[0])[1])
        if self._leaving:
            left, _ = await asyncio.wait(self._leaving, timeout=_ROOM_S, return_when=asyncio.FIRST_COMPLETED)
            if left:
                return
        what = f"{self._most} Dynamic Workers are at work (loaded_workers)"
        raise CallError("Error", f"{what}: no more can be loaded at a time", overloaded=True)

    def _let_go(self, key: Any) -> None:
        task = asyncio.ensure_future(self._loaded.pop(key).retire())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        until = time.monotonic() - self._idle_s
        for key in [key for key, one in self._loaded.items() if one.rests and one.used < until]:
            self._let_go(key)
        if self._loaded:
            self._sweep_later()


__all__ = ["Shelf"]
