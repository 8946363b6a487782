"""One Dynamic Worker: its folder, its process, and who is told what becomes of its events."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bindings.base import CallError, ProductContext, Target
from bindings.binding import Brought
from bindings.worker_loaders.code import Code, bindings_of, service_name, write
from bindings.worker_loaders.tails import Tails
from runtime.config import Config
from runtime.errors import ScriptError, UserError
from runtime.supervisor.calls.call import Answer, Call, ServiceAnswer, ServiceRequest
from runtime.supervisor.processes.deployment import Deployment

T = TypeVar("T")
_SHOWN = 60  # characters of an id
_EXPECTED_S = 5.0  # until somebody who was told of it will not call it any more


class Settings(NamedTuple):
    """Of its loader. ``folder``: where code is written down."""

    config: Config
    context: ProductContext
    folder: Path


class Loaded:
    """A ``Callee``. ``gone(number)`` is called once nobody can reach it any more."""

    def __init__(
        self, number: int, key: str, code: Code, services: Sequence[Target], settings: Settings,
        gone: Callable[[int], object],
    ) -> None:  # fmt: skip
        self.number, self._code, self._services, self._settings = number, code, services, settings
        self._label = f"{settings.config.name}/{key.removeprefix('id ')[:_SHOWN]}"
        self._gone = gone
        self.waiting = 0  # who waits for it to load
        self._active = self._expected = 0  # calls in hand, and to come
        self.used = time.monotonic()
        self._tails = Tails(settings.config.name, [services[at] for at in code.tails], settings.context.observer)
        self._folder: Path | None = None
        self._deployment: Deployment | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._opening is not None and self._opening.done() and self._deployment is not None

    @property
    def rests(self) -> bool:
        expected = self._expected and time.monotonic() < self.used + _EXPECTED_S
        return self.is_open and not self._active and not expected

    def expect(self) -> None:
        """Somebody was told of it, and is about to call it."""
        self._expected += 1
        self.used = time.monotonic()

    async def open(self) -> None:
        """Once its script is loaded, whoever asked for that first. Raises CallError."""
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        self.waiting += 1
        try:
            await asyncio.shield(self._opening)
        finally:
            self.waiting -= 1

    def begin(self, *, requests: bool = False) -> None:
        """What it does is told of, which takes a task."""

    async def call(self, call: Call) -> Answer:
        return await self._watched({"rpcMethod": call.method}, lambda of: of.call(call))

    async def request(self, request: ServiceRequest) -> ServiceAnswer:
        about: dict[str, Any] = {"request": {"url": request.url, "method": request.method}}

        async def answered(of: Deployment) -> ServiceAnswer:
            answer = await of.request(request)
            about["response"] = {"status": answer.status}
            return answer

        return await self._watched(about, answered)

    async def retire(self) -> None:
        """Once it has done what it began, or at once when this is cancelled."""
        self._gone(self.number)
        try:
            if self._opening is not None and not self._opening.done():
                self._opening.cancel()
                await asyncio.wait([self._opening])
            if self._deployment is not None:
                await self._deployment.retire()
        finally:
            await self._tails.aclose()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)

    async def _watched(self, about: dict[str, Any], work: Callable[[Deployment], Awaitable[T]]) -> T:
        assert self._deployment is not None
        self._active += 1
        self._expected = max(0, self._expected - 1)
        try:
            return await self._tails.watched(about, work(self._deployment))
        finally:
            self._active -= 1
            self.used = time.monotonic()

    async def _open(self) -> None:
        code, (config, context, folder) = self._code, self._settings
        outbound = service_name(code.outbound) if isinstance(code.outbound, int) else code.outbound
        try:
            bindings = bindings_of(code, self._services)
            self._folder = await asyncio.to_thread(write, code, folder)
            own = Config(
                None, self._folder, config.name, self._folder / code.main, compatibility_date=code.date or None,
                compatibility_flags=tuple(code.flags), pilot=config.pilot,
            )  # fmt: skip
            temp = folder / "temp"
            temp.mkdir(exist_ok=True, mode=0o700)
            brought = Brought(own, bindings, temp, code.limits.asked(), outbound, self._label, self._tails.printed)
            deployment: Deployment = context.load(brought)
            try:
                await deployment.open()
            except BaseException:
                await deployment.aclose()
                raise
        except ScriptError as error:
            raise CallError("Error", f"the Dynamic Worker does not load: {error.trace.rstrip() or error}") from None
        except (OSError, UserError) as error:
            raise CallError("Error", f"the Dynamic Worker cannot be begun: {error}") from None
        self._deployment = deployment


__all__ = ["Loaded", "Settings"]
