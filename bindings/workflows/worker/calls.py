"""How a run asks the supervisor, and how it hears that it is to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

from bindings.client import HostCaller, js_exception
from runtime.values import JsException
from runtime.wire import RemoteError

T = TypeVar("T")


class Calls:
    """``token``: the supervisor's name for this run, which is good until it ends."""

    def __init__(self, caller: HostCaller, workflow: str, token: str) -> None:
        self._caller, self._whose = caller, (workflow, token)
        self._inside: set[asyncio.Task[Any]] = set()  # tasks that await a step
        self._stopped = ""
        self._watching: asyncio.Task[None] | None = None

    async def call(self, method: str, *args: object) -> Any:
        """Raises JsException."""
        try:
            return await self._caller.call(method, *self._whose, *args)
        except RemoteError as error:
            raise js_exception(error) from None

    async def within(self, work: Awaitable[T]) -> T:
        """``work`` is a step's: JsException says, wherever it is, that the instance was paused, ended or begun anew."""
        self._watching = self._watching or asyncio.create_task(self._watch())
        self._check()
        task = asyncio.current_task()
        assert task is not None
        self._inside.add(task)
        try:
            return await work
        except asyncio.CancelledError:
            if self._stopped:
                task.uncancel()
            self._check()
            raise
        finally:
            self._inside.discard(task)

    async def _watch(self) -> None:
        with suppress(JsException, Exception):  # the supervisor is gone
            self._stopped = await self.call("watch")
        if self._stopped:
            for task in self._inside:
                task.cancel()

    def _check(self) -> None:
        if self._stopped:
            raise JsException(f"Aborting engine: {self._stopped}") from None


__all__ = ["Calls"]
