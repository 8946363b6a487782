"""``env.LOADER``, the host's half. What arrives was sent by user code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from bindings.base import CallError, ProductContext, Target
from bindings.binding import Version
from bindings.worker_loaders.code import Code, LimitsAsked, read
from bindings.worker_loaders.loaded import Loaded, Settings
from bindings.worker_loaders.shelf import Shelf
from runtime.config import Config
from runtime.supervisor.calls.call import Callee

_GONE = "the Dynamic Worker was let go of: ask the loader for it again"
Key = tuple[str, int | None, int | None]


class LoaderBinding:
    """``most``: that live at a time; ``idle_s``: until one at rest goes."""

    client = "bindings.worker_loaders.worker:WorkerLoader"
    client_args: Mapping[str, Any] = {}

    def __init__(
        self, name: str, config: Config, context: ProductContext, folder: Path, most: int, idle_s: float
    ) -> None:
        self.name, self._settings = name, Settings(config, context, folder)
        self._most, self._idle_s, self._numbers = most, idle_s, count(1)
        self._shelves: dict[Version, Shelf] = {}
        self._by_number: dict[int, Loaded] = {}

    def describe(self) -> tuple[str, str]:
        return "Worker Loader", f"{self._most} at a time"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise CallError("TypeError", f"env.{self.name} is brought code")

    async def load(self, args: object, services: Sequence[Target], version: Version) -> object:
        """``["find", key, limits]``: the number of what is loaded under that key, or None. ``["open", key, limits,
        code]``: the same, loaded if it was not."""
        match args:
            case ["find", str(key), dict(limits)]:
                found = self._shelf(version).find(_key(key, limits))
                return None if found is None else found.number
            case ["open", str(key), dict(limits), dict(code)]:
                return await self._opened(_key(key, limits), read(code, services), services, version)
        raise CallError("TypeError", "it is not asked so")

    def target(self, address: object) -> Target:
        """``[number, entrypoint, props]``."""
        match address:
            case [int(number), str(entrypoint), dict(props)]:
                return Target("", entrypoint, props=props, reach=partial(self._reach, number))
        raise CallError("TypeError", "an address that is none")

    async def _reach(self, number: int) -> Callee:
        if (loaded := self._by_number.get(number)) is None:
            raise CallError("Error", _GONE, remote=True, retryable=True)
        return loaded

    async def _opened(self, key: Key, code: Code, services: Sequence[Target], version: Version) -> int:
        def make() -> Loaded:
            number = next(self._numbers)
            made = Loaded(number, key[0], _lower(code, key), services, self._settings, self._by_number.pop)
            self._by_number[number] = made
            return made

        return (await self._shelf(version).get(key, make)).number

    def _shelf(self, version: Version) -> Shelf:
        """What this version of the worker has loaded goes with it."""
        if (shelf := self._shelves.get(version)) is None:
            shelf = self._shelves[version] = Shelf(self._most, self._idle_s)

            async def closed() -> None:
                self._shelves.pop(version, None)
                await shelf.aclose()

            version.closers.append(closed)
        return shelf


def _key(key: str, limits: dict[str, Any]) -> Key:
    """With the entrypoint's limits: what has others is another process. Raises CallError."""
    try:
        found = msgspec.convert(limits, LimitsAsked)
    except msgspec.ValidationError as error:
        raise CallError("TypeError", f"limits: {error}") from None
    return key, found.cpuMs, found.subRequests


def _lower(code: Code, key: Key) -> Code:
    """Of two limits the lower one."""
    _, cpu, subrequests = key
    asked = {"cpuMs": _least(code.limits.cpuMs, cpu), "subRequests": _least(code.limits.subRequests, subrequests)}
    return msgspec.structs.replace(code, limits=LimitsAsked(**asked))


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


__all__ = ["LoaderBinding"]
